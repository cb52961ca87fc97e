"""`dcgan compare`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import escape_control_characters
from dcgan.cli.options import DEFAULT_STORE, Json, Store
from dcgan.cli.selection import (
    Anyway,
    Baseline,
    By,
    MetricsOption,
    Places,
    RunReferences,
    Selection,
    SweepOption,
    Where,
    select_runs,
)
from tracking.wording import plural

if TYPE_CHECKING:
    from analysis.comparison.compare import Comparison
    from analysis.comparison.tables import Table as Cells


def compare(
    runs: RunReferences = None,
    by: By = None,
    metric: MetricsOption = None,
    sweep: SweepOption = None,
    where: Where = None,
    baseline: Baseline = None,
    anyway: Anyway = False,
    places: Places = None,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Hold arms of runs against each other: does the factor change the outcome?

    Of each metric: its mean and spread over seeds, the difference to the first
    arm with a 95% interval (BCa bootstrap), a permutation test, paired where
    arms share their seeds, corrected for the number of tests (Holm). With fewer
    than six pairs no claim is made.

    [dim]dcgan compare --sweep weight-init
    dcgan compare --by optimizer.lr --where 'recipe == "astro"' --metric nearest_epoch[/dim]
    """
    from analysis.comparison.compare import compare as compare_runs

    selected = select_runs(Selection(store, runs or (), sweep, where, places or ()))
    comparison = compare_runs(
        selected, by=by or (), metrics=metric or (), baseline=baseline, anyway=anyway
    )
    if as_json:
        print(json.dumps(_as_tree(comparison), indent=2))
        return
    _print(comparison, Console(highlight=False))


def _print(comparison: Comparison, console: Console) -> None:
    from analysis.comparison.conclusions import CAVEAT, conclusion, runs_that_broke
    from analysis.comparison.failures import RULE
    from analysis.comparison.tables import effect_table, summary_table

    console.print(Text(_headline(comparison), style="bold"))
    for warning in comparison.warnings:
        console.print(Text(escape_control_characters(warning), style="yellow"), soft_wrap=True)
    console.print()
    for table in (summary_table(comparison), effect_table(comparison)):
        console.print(_rich(table))
        console.print(Text(escape_control_characters(table.caption), style="dim"))
        console.print()
    console.print(Text(escape_control_characters(runs_that_broke(comparison))))
    console.print(Text(RULE, style="dim"))
    console.print()
    console.print(Text(escape_control_characters(conclusion(comparison)), style="bold"))
    console.print(Text(CAVEAT, style="dim"))


def _headline(comparison: Comparison) -> str:
    seeds = sorted(set(comparison.runs["seed"]))
    same = len(comparison.arms.constant)
    return escape_control_characters(
        f"{', '.join(comparison.arms.factors)}: {len(comparison.labels)} arms, "
        f"{plural(len(seeds), 'seed')}, "
        f"{len(comparison.runs)} runs; {same} other keys are the same in all."
    )


def _rich(table: Cells) -> Table:
    """Cells of which the first are words; a name that repeats stands once."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(table.columns):
        words = place < table.texts
        shown.add_column(
            escape_control_characters(column),
            justify="left" if words else "right",
            no_wrap=place == 0 or not words,
        )
    above = ""
    for place, (name, *others) in enumerate(table.rows):
        style = "bold" if place in table.strong else ""
        cells = ("" if name == above else name, *others)
        shown.add_row(*(Text(escape_control_characters(cell)) for cell in cells), style=style)
        above = name
    return shown


def _as_tree(comparison: Comparison) -> dict[str, Any]:
    """All of it; what is not finite is null, for JSON has no such number."""
    from analysis.comparison.conclusions import conclusion

    def rows(frame: Any) -> Any:
        return json.loads(frame.to_json(orient="records", double_precision=15))

    return {
        "factors": list(comparison.arms.factors),
        "baseline": comparison.baseline,
        "arms": comparison.labels,
        "constant": dict(comparison.arms.constant),
        "runs": rows(comparison.runs.reset_index()),
        "summary": rows(comparison.summary),
        "differences": rows(comparison.differences),
        "endings": rows(comparison.endings),
        "warnings": list(comparison.warnings),
        "conclusion": conclusion(comparison),
    }
