"""`dcgan diff`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import escape_control_characters
from dcgan.cli.options import DEFAULT_STORE, Json, Store, known_runs
from tracking.events import ARTIFACTS, GIT_DIFF
from tracking.fields import to_text

if TYPE_CHECKING:
    from analysis.run_diff import MetricPair, RunDiff, RunRecord, SectionDiff, ValuePair
    from tracking.events import Value

_WIDEST = 120
_NAME_WIDTH, _DIFFERENCE_WIDTH = 34, 10
_GAPS = 3


def diff(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A run: an id, the start of an id, a name, or [bold]last[/bold].",
            autocompletion=known_runs,
        ),
    ],
    second: Annotated[
        str, typer.Argument(metavar="B", help="Another run.", autocompletion=known_runs)
    ],
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show in what two runs differ: configuration, data, code, packages, machine, outcome.

    [dim]dcgan diff digits-x7k2m9 last[/dim]
    """
    from analysis.run_diff import diff_runs
    from tracking.store import find_run

    found = diff_runs(*(_read(find_run(store, reference)) for reference in (first, second)))
    if as_json:
        print(json.dumps(_finite(asdict(found)), indent=2))
        return
    _print(found, Console(highlight=False))


def _read(folder: Path) -> RunRecord:
    from analysis.run_diff import RunRecord
    from tracking.backends.local import last_values, read_fields

    patch = folder / "artifacts" / f"{GIT_DIFF.removeprefix(f'{ARTIFACTS}/')}.txt"
    text = patch.read_text(encoding="utf-8", errors="replace") if patch.exists() else ""
    return RunRecord(folder.name, read_fields(folder), last_values(folder), text)


def _print(found: RunDiff, console: Console) -> None:
    from analysis.run_diff import CAVEAT

    for letter, run in zip("AB", found.runs, strict=True):
        console.print(Text(f"{letter}  {escape_control_characters(run)}", style="bold"))
    widths = _widths(found, console.width)
    console.print()
    console.print(_pairs(found.outline, widths))
    for heading, part in (
        (_heading("configurations", "key", found.configuration), found.configuration),
        (_data_heading(found), found.data),
        (_code_heading(found.code), found.code),
        (_heading("uncommitted changes", "file", found.uncommitted), found.uncommitted),
        (_heading("packages", "version", found.packages), found.packages),
        (_heading("machines", "fact", found.machine), found.machine),
    ):
        if part is found.uncommitted and not (part.differing or part.equal):
            continue
        console.print(Text(f"\n{escape_control_characters(heading)}", style="bold"))
        if part.differing:
            rows = _whole(part) if part is found.code else part.differing
            console.print(_pairs(rows, widths))
    console.print("\n[bold]Final metrics[/bold], means of the last epoch where both runs have them")
    console.print(_metrics(found.metrics, widths))
    for warning in found.warnings:
        console.print(Text(escape_control_characters(warning), style="yellow"))
    console.print(Text(CAVEAT, style="dim"))


def _heading(subject: str, unit: str, part: SectionDiff) -> str:
    known = len(part.differing) + len(part.equal)
    units = unit if known == 1 else f"{unit}s"
    if not known:
        return f"Of the {subject} nothing is known"
    if not part.differing:
        return f"The {subject} are equal ({known} {units})"
    return f"The {subject} differ in {len(part.differing)} of {known} {units}"


def _data_heading(found: RunDiff) -> str:
    if found.same_data is None:
        return "Whether the data are the same is not known"
    if not found.same_data:
        return "The data differ"
    size, name = (found.data.equal.get(f"dataset.{key}") for key in ("size", "name"))
    return f"The data are the same: {size} images" + (f" of {name}" if name else "")


def _code_heading(code: SectionDiff) -> str:
    if any(pair.name == "commit" for pair in code.differing):
        return "The code is of different commits"
    if not code.equal.get("commit"):
        return "Of the code nothing is known"
    if code.differing:
        return f"The code is of the same commit, {_shown('commit', code.equal['commit'])}"
    branch = f" on {code.equal['branch']}" if code.equal.get("branch") else ""
    changes = "with" if code.equal.get("dirty") else "without"
    commit = _shown("commit", code.equal.get("commit"))
    return f"The code is of the same commit, {commit}{branch}, {changes} uncommitted changes"


def _whole(part: SectionDiff) -> list[ValuePair]:
    from analysis.run_diff import ValuePair

    equal = (ValuePair(name, value, value) for name, value in part.equal.items())
    return sorted((*part.differing, *equal), key=lambda pair: pair.name)


def _widths(found: RunDiff, screen: int) -> tuple[int, int]:
    """Of the names and of either value: all tables of one screen have the same columns."""
    parts = (found.configuration, found.data, found.code, found.uncommitted, found.packages)
    names = [pair.name for part in (*parts, found.machine) for pair in part.differing]
    names += [each.path for each in found.metrics]
    name = min(_NAME_WIDTH, max(map(len, names), default=0))
    return name, (min(screen, _WIDEST) - name - _DIFFERENCE_WIDTH - _GAPS) // 2


def _pairs(pairs: Sequence[ValuePair], widths: tuple[int, int]) -> Table:
    table = _table(widths, show_header=False)
    for pair in pairs:
        values = (
            Text(escape_control_characters(_shown(pair.name, each)))
            for each in (pair.first, pair.second)
        )
        table.add_row(Text(escape_control_characters(pair.name), style="dim"), *values)
    return table


def _metrics(metrics: Sequence[MetricPair], widths: tuple[int, int]) -> Table:
    table = _table(widths)
    table.add_column("B - A", width=_DIFFERENCE_WIDTH, justify="right", no_wrap=True)
    for each in metrics:
        values = (_number(number, ".4g") for number in (each.first, each.second))
        table.add_row(
            Text(escape_control_characters(each.path), style="dim"),
            *values,
            _number(each.difference, "+.4g"),
        )
    return table


def _table(widths: tuple[int, int], *, show_header: bool = True) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), show_header=show_header)
    for column, width in zip(("", "A", "B"), (widths[0], widths[1], widths[1]), strict=True):
        table.add_column(column, width=width, overflow="fold")
    return table


def _shown(name: str, value: Value) -> str:
    """A value as a person reads it; of a hash the beginning."""
    if value is None:
        return "-"
    if name == "commit":
        return str(value)[:7]
    if name == "dataset.fingerprint":
        return str(value)[:19]
    return value if isinstance(value, str) else to_text(value)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _finite(tree: Any) -> Any:
    """What is not finite as null, for JSON has no such number."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
