"""Every public function with three or more parameters describes each of them under `Args:`.

Ruff's D417 checks the sections that exist; this test requires that there is one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from dcgan.cli import app
from tests.support import REPOSITORY
from tracking.backends import Backend

PACKAGES = ("dcgan", "tracking", "analysis", "diagnosis")
COMMANDS = Path("dcgan/cli/commands")
BACKENDS = Path("tracking/backends")
FEWEST_PARAMETERS = 3
HELP_WIDTH = 78
"""Of 80 columns, without a margin on either side."""

MARKUP = re.compile(r"\[/?[a-z]+\]")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Functions of a module and methods of its classes; nothing private, nothing nested."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, Function) and not node.name.startswith("_"):
            yield prefix + node.name, node


def parameters(function: Function) -> list[str]:
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [each.arg for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [name for name in names if name not in ("self", "cls")]


def described(docstring: str) -> set[str]:
    """The parameters under `Args:`, each at the section's own indentation."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)*)", docstring + "\n", re.MULTILINE)
    if section is None:
        return set()
    return set(re.findall(r"^    \*{0,2}(\w+)(?: \(.*\))?:\s+\S", section.group(1), re.MULTILINE))


def problems(file: Path, source: str) -> list[str]:
    lines = []
    for name, function in public_functions(ast.parse(source).body):
        in_a_backend = file.is_relative_to(BACKENDS) and file.name != "__init__.py"
        if in_a_backend and hasattr(Backend, name):  # described once, by the interface
            continue
        if name.rpartition(".")[2].startswith("test_"):  # of the suite that backends subclass
            continue
        names = parameters(function)
        in_docstring = described(ast.get_docstring(function) or "")
        missing = [parameter for parameter in names if parameter not in in_docstring]
        if missing and len(names) >= FEWEST_PARAMETERS:
            lines.append(f"{file}:{function.lineno} {name}: {', '.join(missing)}")
    return lines


def test_every_parameter_of_a_public_function_is_described():
    files = [
        file.relative_to(REPOSITORY)
        for package in PACKAGES
        for file in sorted((REPOSITORY / package).rglob("*.py"))
    ]
    assert len(files) > 100
    lines = [
        line
        for file in files
        if not file.is_relative_to(COMMANDS)
        for line in problems(file, (REPOSITORY / file).read_text(encoding="utf-8"))
    ]
    assert not lines, f"{len(lines)} functions leave parameters out:\n" + "\n".join(lines)


def test_public_functions_in_the_commands_folder_are_commands():
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    callbacks = set()
    for group in groups:
        assert isinstance(group, typer.Typer)
        registered = [*group.registered_commands, group.registered_callback]
        callbacks |= {each.callback for each in registered if each and each.callback}
    commands = {(callback.__module__, callback.__name__) for callback in callbacks}
    for file in (REPOSITORY / COMMANDS).glob("*.py"):
        module = f"dcgan.cli.commands.{file.stem}"
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {name for name, _ in public_functions(tree.body) if "." not in name}
        assert {(module, name) for name in names} <= commands


def test_help_fits_a_terminal_of_80_columns():
    """Typer keeps the lines of a docstring: one that is too long leaves a short one behind it."""
    long = [
        f"{file.name}: {line}"
        for file in sorted((REPOSITORY / COMMANDS).glob("*.py"))
        for _, function in public_functions(ast.parse(file.read_text(encoding="utf-8")).body)
        for line in (ast.get_docstring(function) or "").splitlines()[1:]
        if len(MARKUP.sub("", line)) > HELP_WIDTH
    ]
    assert not long


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('def f(a, b): "No args."', []),
        ('def _f(a, b, c): "Private."', []),
        ('def f(a, b, c): "No args."', ["m.py:1 f: a, b, c"]),
        ('class C:\n  def f(self, a, *, b, **c): "No args."', ["m.py:2 C.f: a, b, c"]),
        ('class _C:\n  def f(self, a, b, c): "Private."', []),
        (
            'def f(a, b, *c):\n    """Sum.\n\n    Args:\n        a: One\n            b: of\n'
            '        *c: Rest.\n\n    Returns:\n        b: no.\n    """',
            ["m.py:1 f: b"],
        ),
    ],
)
def test_the_check_itself(source: str, expected: list[str]):
    assert problems(Path("m.py"), source) == expected
