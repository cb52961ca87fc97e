"""`dcgan diff`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import escape_control_characters, print_json
from dcgan.cli.options import Json, Store, complete_run
from dcgan.store_dir import DEFAULT_STORE
from tracking.events import ARTIFACTS, GIT_DIFF
from tracking.fields import to_text
from tracking.wording import ANECDOTE, plural, rounded

if TYPE_CHECKING:
    from analysis.run_diff import MetricPair, RunDiff, RunRecord, SectionDiff, ValuePair
    from tracking.events import Value

_MAX_WIDTH = 120
_MAX_NAME_WIDTH, _DIFFERENCE_WIDTH = 34, 10
_GAPS = 3
_SHORT_COMMIT, _SHORT_FINGERPRINT = 7, 19
"""How many characters of a commit and of a fingerprint are shown."""


def diff(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="First run: id, start of an id, name, or [bold]last[/bold].",
            autocompletion=complete_run,
        ),
    ],
    second: Annotated[
        str, typer.Argument(metavar="B", help="Second run.", autocompletion=complete_run)
    ],
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show how two runs differ: configuration, data, code, packages, machine and metrics.

    [dim]dcgan diff digits-x7k2m9 last[/dim]
    """
    from analysis.run_diff import diff_runs
    from tracking.store import find_run

    run_diff = diff_runs(*(_read(find_run(store, reference)) for reference in (first, second)))
    if as_json:
        print_json(asdict(run_diff))
        return
    _print(run_diff, Console(highlight=False))


def _read(folder: Path) -> RunRecord:
    from analysis.run_diff import RunRecord
    from tracking.backends.local import evaluation_steps, last_values, read_fields

    patch = folder / "artifacts" / f"{GIT_DIFF.removeprefix(f'{ARTIFACTS}/')}.txt"
    text = patch.read_text(encoding="utf-8", errors="replace") if patch.exists() else ""
    return RunRecord(
        folder.name, read_fields(folder), last_values(folder), text, evaluation_steps(folder)
    )


def _print(run_diff: RunDiff, console: Console) -> None:
    from analysis.caveats import NO_QUALITY

    for letter, run in zip("AB", run_diff.runs, strict=True):
        console.print(Text(f"{letter}  {escape_control_characters(run)}", style="bold"))
    widths = _column_widths(run_diff, console.width)
    console.print()
    console.print(_value_table(run_diff.outline, widths))
    for heading, section in (
        (_heading("configurations", "key", run_diff.configuration), run_diff.configuration),
        (_data_heading(run_diff), run_diff.data),
        (_code_heading(run_diff.code), run_diff.code),
        (_heading("uncommitted changes", "file", run_diff.uncommitted), run_diff.uncommitted),
        (_heading("packages", "version", run_diff.packages), run_diff.packages),
        (_heading("machines", "field", run_diff.machine), run_diff.machine),
    ):
        if section is run_diff.uncommitted and not (section.differing or section.equal):
            continue
        console.print(Text(f"\n{escape_control_characters(heading)}", style="bold"))
        if section.differing:
            pairs = _all_pairs(section) if section is run_diff.code else section.differing
            console.print(_value_table(pairs, widths))
    in_both = [each for each in run_diff.metrics if each.difference is not None]
    in_one = [each for each in run_diff.metrics if each.difference is None]
    metric_widths = _metric_widths(run_diff.metrics, widths)
    if in_both:
        console.print(
            "\n[bold]Final metrics[/bold]: last epoch's means (training/epoch), else last values"
        )
        console.print(_metric_table(in_both, metric_widths))
    if in_one:
        console.print("\n[bold]Final metrics of one run alone[/bold]")
        console.print(_metric_table(in_one, metric_widths))
    for warning in run_diff.warnings:
        console.print(Text(escape_control_characters(warning), style="yellow"))
    console.print(Text(f"{ANECDOTE} {NO_QUALITY}", style="dim"))


def _heading(subject: str, unit: str, section: SectionDiff) -> str:
    count = len(section.differing) + len(section.equal)
    if not count:
        return f"The {subject} were not recorded"
    if not section.differing:
        return f"The {subject} are identical ({plural(count, unit)})"
    return f"The {subject} differ in {len(section.differing)} of {plural(count, unit)}"


def _data_heading(run_diff: RunDiff) -> str:
    from analysis.data_names import data_set_name

    if run_diff.same_data is None:
        return "Whether the data are the same was not recorded"
    if not run_diff.same_data:
        return "The data differ"
    size, name, path = (
        run_diff.data.equal.get(f"dataset.{key}") for key in ("size", "name", "path")
    )
    of_set = f" of {escape_control_characters(data_set_name(name, path))}" if name else ""
    return f"The data are the same: {size:,} images{of_set}"


def _code_heading(code: SectionDiff) -> str:
    commits = next((pair for pair in code.differing if pair.name == "commit"), None)
    if commits is not None and None in (commits.first, commits.second):
        return f"The code of {'A' if commits.first is None else 'B'} was not recorded"
    if commits is not None:
        return "The code is from different commits"
    if not code.equal.get("commit"):
        return "The code was not recorded"
    commit = _shown("commit", code.equal["commit"])
    if code.differing:
        return f"The code is from the same commit, {commit}"
    branch = f" on {code.equal['branch']}" if code.equal.get("branch") else ""
    changes = "with" if code.equal.get("dirty") else "without"
    return f"The code is from the same commit, {commit}{branch}, {changes} uncommitted changes"


def _all_pairs(section: SectionDiff) -> list[ValuePair]:
    from analysis.run_diff import ValuePair

    equal = (ValuePair(name, value, value) for name, value in section.equal.items())
    return sorted((*section.differing, *equal), key=lambda pair: pair.name)


def _column_widths(run_diff: RunDiff, screen_width: int) -> tuple[int, int]:
    """Widths of the names and of each run's values, the same in all tables of the screen."""
    sections = (
        run_diff.configuration,
        run_diff.data,
        run_diff.code,
        run_diff.uncommitted,
        run_diff.packages,
        run_diff.machine,
    )
    names = [pair.name for section in sections for pair in section.differing]
    names += [metric.path for metric in run_diff.metrics]
    name_width = min(_MAX_NAME_WIDTH, max(map(len, names), default=0))
    values_width = min(screen_width, _MAX_WIDTH) - name_width - _DIFFERENCE_WIDTH - _GAPS
    return name_width, values_width // 2


def _value_table(pairs: Sequence[ValuePair], widths: tuple[int, int]) -> Table:
    table = _table(widths, show_header=False)
    for pair in pairs:
        values = (
            Text(escape_control_characters(_shown(pair.name, value)))
            for value in (pair.first, pair.second)
        )
        table.add_row(Text(escape_control_characters(pair.name), style="dim"), *values)
    return table


def _metric_widths(metrics: Sequence[MetricPair], widths: tuple[int, int]) -> tuple[int, int]:
    """Wider names and narrower values than in the other tables: numbers are short."""
    name_width, value_width = widths
    longest = max((len(metric.path) for metric in metrics), default=0)
    more = min(max(0, longest - name_width), 2 * max(0, value_width - _DIFFERENCE_WIDTH))
    return name_width + more, value_width - (more + 1) // 2


def _metric_table(metrics: Sequence[MetricPair], widths: tuple[int, int]) -> Table:
    table = _table(widths)
    table.add_column("B - A", width=_DIFFERENCE_WIDTH, justify="right", no_wrap=True)
    for metric in metrics:
        table.add_row(
            Text(escape_control_characters(metric.path), style="dim"),
            _number(metric.first),
            _number(metric.second),
            _number(metric.difference, "+"),
        )
    return table


def _table(widths: tuple[int, int], *, show_header: bool = True) -> Table:
    name_width, value_width = widths
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), show_header=show_header)
    for heading, width in (("", name_width), ("A", value_width), ("B", value_width)):
        table.add_column(heading, width=width, overflow="fold")
    return table


def _shown(name: str, value: Value) -> str:
    """A value as text; hashes are shortened."""
    if value is None:
        return "-"
    if name == "commit":
        return str(value)[:_SHORT_COMMIT]
    if name == "dataset.fingerprint":
        return str(value)[:_SHORT_FINGERPRINT]
    return value if isinstance(value, str) else to_text(value)


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else rounded(value, 4, sign)
