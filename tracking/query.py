"""Runs chosen and ordered by what is known of them: `optimizer.lr < 1e-3 and Gloss < 2`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import simpleeval

from tracking.errors import UserError
from tracking.events import BATCH, CONFIG, EPOCH, SYS, Value
from tracking.wording import did_you_mean

_DOTTED = re.compile(r"\w+(\.\w+)*")


class QueryError(UserError):
    """An expression that cannot be read, or names what no run has."""


@dataclass(frozen=True)
class RunNames:
    """What an expression can name of one run.

    names: by dotted name, such as `optimizer.lr`, `status`, `training.epoch.Gloss`.
    """

    names: Mapping[str, Any]


def run_names(fields: Mapping[str, Value], last: Mapping[str, float]) -> RunNames:
    """The names of a run: the keys of its recipe, its other fields, its newest values.

    A metric can also be named by its last word; that of the epoch goes before that of the
    batch.
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

    A run that lacks a name, or whose value cannot be compared, is left out. Raises
    QueryError where the expression is no expression or no run has one of its names.
    """
    evaluator = simpleeval.EvalWithCompoundTypes()
    parsed = _parse(expression)
    chosen, missing = [], {}
    for run, what in runs.items():
        evaluator.names = vars(_namespace(what.names))
        try:
            if evaluator.eval(expression, parsed):
                chosen.append(run)
        except simpleeval.NameNotDefined as error:
            missing[run] = str(error.name)
        except simpleeval.AttributeDoesNotExist as error:
            missing[run] = str(error.attr)
        except TypeError:  # such as None < 1
            continue
        except simpleeval.InvalidExpression as error:
            raise QueryError(f"--where {expression!r} is not allowed: {error}") from error
        except (ArithmeticError, ValueError) as error:
            raise QueryError(f"--where {expression!r} fails: {error}.") from error
    if runs and len(missing) == len(runs):
        raise _unknown(next(iter(missing.values())), runs)
    return chosen


def names_of(expression: str) -> set[str]:
    """The dotted names in an expression. Raises QueryError where it cannot be read."""
    names = set()
    rest = [_parse(expression)]
    while rest:
        node = rest.pop()
        text = ast.unparse(node)
        if isinstance(node, ast.Name | ast.Attribute) and _DOTTED.fullmatch(text):
            names.add(text)
        else:
            rest += [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    return names


def order(name: str, runs: Mapping[str, RunNames], *, descending: bool = False) -> list[str]:
    """All runs by the value of a name, those without one at the end.

    Raises QueryError where no run has it.
    """
    values = {run: what.names.get(name) for run, what in runs.items()}
    having = [run for run in runs if values[run] is not None and values[run] == values[run]]
    if runs and not having:
        raise _unknown(name, runs)
    numbers = all(isinstance(values[run], (int, float)) for run in having)

    def rank(run: str) -> tuple[float, str]:
        return (float(values[run]), "") if numbers else (0.0, str(values[run]))  # type: ignore[arg-type]

    ordered = sorted(having, key=rank, reverse=descending)
    return ordered + [run for run in runs if run not in set(having)]


def _parse(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise QueryError(
            f"--where {expression!r} cannot be read.\n"
            "It should be such as: optimizer.lr < 1e-3 and status == 'finished'"
        ) from error


def _precedence(path: str) -> int:
    return [BATCH, EPOCH].index(p) if (p := path.rpartition("/")[0]) in (BATCH, EPOCH) else 2


def _namespace(names: Mapping[str, Any]) -> SimpleNamespace:
    """Dotted names as nested attributes; one that is no word of Python cannot be written."""
    root = SimpleNamespace()
    for name, value in names.items():
        *parents, leaf = name.split(".")
        space = root
        for parent in parents:
            inner = vars(space).get(parent)
            if not isinstance(inner, SimpleNamespace):
                inner = SimpleNamespace()
                setattr(space, parent, inner)
            space = inner
        if not isinstance(vars(space).get(leaf), SimpleNamespace):
            setattr(space, leaf, value)
    return root


def _unknown(name: str, runs: Mapping[str, RunNames]) -> QueryError:
    existing = sorted({each for run in runs.values() for each in run.names})
    hint = did_you_mean(name, existing) or (
        "Names are those that dcgan show prints, with dots: optimizer.lr, status, seed, Gloss."
    )
    return QueryError(f"No run has {name!r}.\n{hint}")
