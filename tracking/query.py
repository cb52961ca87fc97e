"""Select and sort runs by their fields and metrics: `optimizer.lr < 1e-3 and Gloss < 2`."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import simpleeval

from tracking.errors import UserError
from tracking.events import BATCH, CONFIG, EPOCH, SYS, Value
from tracking.metric_directions import direction_of
from tracking.wording import did_you_mean

_DOTTED = re.compile(r"\w+(\.\w+)*")
_SINGLE_EQUALS = re.compile(r"(?<![=!<>])=(?!=)")
_LONGEST = 2_000
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_NODES = (
    ast.UnaryOp,
    ast.BinOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Subscript,
    ast.Slice,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.Set,
)


class QueryError(UserError):
    """An expression that cannot be parsed, or a name that no run has."""


@dataclass(frozen=True)
class RunNames:
    """The names that an expression can use in one run.

    Attributes:
        names: Values by dotted name, such as `optimizer.lr`, `status`, `training.epoch.Gloss`.
    """

    names: Mapping[str, Any]


def run_names(fields: Mapping[str, Value], last: Mapping[str, float]) -> RunNames:
    """The names of a run: the keys of its recipe, its other fields, its last values.

    The last part of a metric's path names it too; it then means the mean of the epoch rather than
    the value of the batch.
    """
    names: dict[str, Any] = {}
    for path in sorted(last, key=_precedence):
        names[path.rpartition("/")[2]] = last[path]
    names |= {path.replace("/", "."): value for path, value in last.items()}
    for path, field in fields.items():
        names[re.sub(f"^({CONFIG}|{SYS})/", "", path).replace("/", ".")] = field
    return RunNames(names)


def select(expression: str, runs: Mapping[str, RunNames]) -> list[str]:
    """The runs for which an expression of Python's operators is true.

    A run that lacks a name, or whose value cannot be compared, is left out. Raises QueryError
    if the expression cannot be parsed or evaluated, or if no run has one of its names.
    """
    parsed = _parse(expression)
    selected, missing_names = [], {}
    for run, run_entry in runs.items():
        try:
            if _evaluator(run_entry.names).eval(expression, parsed):
                selected.append(run)
        except simpleeval.NameNotDefined as error:
            missing_names[run] = str(error.name)
        except (TypeError, LookupError):  # such as None < 1, and tags[5] of two
            continue
        except simpleeval.InvalidExpression as error:
            raise QueryError(f"--where {expression!r} is not allowed: {error}") from error
        except (ArithmeticError, ValueError, RecursionError) as error:
            raise QueryError(f"--where {expression!r} fails: {error}.") from error
    if runs and len(missing_names) == len(runs):
        raise _unknown(next(iter(missing_names.values())), runs)
    return selected


def names_of(expression: str) -> set[str]:
    """The dotted names in an expression. Raises QueryError if it cannot be parsed."""
    names = set()
    nodes = [_parse(expression)]
    while nodes:
        node = nodes.pop()
        text = ast.unparse(node)
        if isinstance(node, ast.Name | ast.Attribute) and _DOTTED.fullmatch(text):
            names.add(text)
        else:
            nodes += [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    return names


def order(name: str, runs: Mapping[str, RunNames], *, descending: bool = False) -> list[str]:
    """All runs sorted by the value of a name; runs without a value, or with NaN, come last.

    Args:
        name: A dotted name, such as `optimizer.lr`.
        runs: The runs by id.
        descending: Whether the largest value comes first.

    Raises:
        QueryError: No run has the name.
    """
    values = {run: run_entry.names.get(name) for run, run_entry in runs.items()}
    with_value = [run for run in runs if values[run] is not None and values[run] == values[run]]
    if runs and not with_value:
        raise _unknown(name, runs)
    numbers = all(isinstance(values[run], (int, float)) for run in with_value)

    def rank(run: str) -> tuple[float, str]:
        return (float(values[run]), "") if numbers else (0.0, str(values[run]))  # type: ignore[arg-type]

    ordered = sorted(with_value, key=rank, reverse=descending)
    return ordered + [run for run in runs if run not in set(with_value)]


def require_name(name: str, runs: Mapping[str, RunNames]) -> None:
    """Raise QueryError unless one of the runs, if there are any, has the name."""
    if runs and all(name not in run.names for run in runs.values()):
        raise _unknown(name, runs)


def _parse(expression: str) -> ast.expr:
    try:
        if len(expression) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST:,} characters")
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        single = _SINGLE_EQUALS.search(expression[:_LONGEST])
        hint = (
            f"To compare, write two: {_SINGLE_EQUALS.sub('==', expression.strip())}"
            if single and len(expression) <= 200
            else "Write an expression such as: optimizer.lr < 1e-3 and status == 'finished'"
        )
        raise QueryError(f"--where {expression[:200]!r} cannot be read.\n{hint}") from error


def _precedence(path: str) -> int:
    return [BATCH, EPOCH].index(p) if (p := path.rpartition("/")[0]) in (BATCH, EPOCH) else 2


def _evaluator(names: Mapping[str, Any]) -> simpleeval.EvalWithCompoundTypes:
    """An evaluator with bounded time and memory that can only access values by name.

    It allows no calls, comprehensions, powers, or formatted or repeated strings. A dotted name is
    looked up as a whole; no attribute of an object is read.
    """
    arithmetic = {node: partial(_of_numbers, operation) for node, operation in _ARITHMETIC.items()}
    comparisons = {
        node: operation
        for node, operation in simpleeval.DEFAULT_OPERATORS.items()
        if issubclass(node, ast.cmpop | ast.Not | ast.USub)
    }
    evaluator = simpleeval.EvalWithCompoundTypes(operators=arithmetic | comparisons, functions={})
    evaluator.nodes = {node: evaluator.nodes[node] for node in _NODES}

    def look_up(node: ast.expr) -> Any:
        name = ast.unparse(node)
        if not _DOTTED.fullmatch(name):
            raise simpleeval.FeatureNotAvailable(f"{name} is not the name of a value")
        if name not in names:
            raise simpleeval.NameNotDefined(name, name)
        return names[name]

    evaluator.nodes |= {ast.Name: look_up, ast.Attribute: look_up}
    return evaluator


def _of_numbers(operation: Callable[[Any, Any], Any], left: object, right: object) -> Any:
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise TypeError("arithmetic is for numbers: texts and lists could grow without bound")
    return operation(left, right)


def _unknown(name: str, runs: Mapping[str, RunNames]) -> QueryError:
    if direction_of(name) is not None:
        return QueryError(
            f"No run here has {name!r}, a metric of evaluations.\n"
            "Measure it with: dcgan evaluate RUN"
        )
    existing = sorted({each for run in runs.values() for each in run.names})
    hint = did_you_mean(name, existing) or (
        "Use the names that dcgan show prints, with dots: optimizer.lr, status, seed, Gloss."
    )
    return QueryError(f"No run has {name!r}.\n{hint}")
