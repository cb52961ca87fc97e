"""`dcgan compare`."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from dcgan.cli.fitting_table import Column, FittingTable, fitting_table, text_column
from dcgan.cli.format import escape_control_characters, print_json
from dcgan.cli.options import Json, Store
from dcgan.cli.selection import (
    Anyway,
    Baseline,
    By,
    MetricsOption,
    RunReferences,
    Selection,
    Sources,
    SweepOption,
    Where,
    select_runs,
)
from dcgan.store_dir import DEFAULT_STORE
from tracking.wording import plural

if TYPE_CHECKING:
    import pandas as pd

    from analysis.comparison.compare import Comparison
    from analysis.comparison.tables import Table as ComparisonTable

_JSON_KEYS = {
    "outcome": "ending",
    "ci_low": "low",
    "ci_high": "high",
    "prob_superiority": "larger",
    "minimum_detectable_effect": "detectable",
}
"""Column of a comparison's tables -> its key in `--json`, which keeps its first names."""


def compare(
    runs: RunReferences = None,
    by: By = None,
    metric: MetricsOption = None,
    sweep: SweepOption = None,
    where: Where = None,
    baseline: Baseline = None,
    anyway: Anyway = False,
    sources: Sources = None,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Compare groups of runs (arms): does the factor change the outcome?

    For each metric: mean and spread over the seeds, and the difference from the
    baseline with a permutation test (paired if the arms share their seeds,
    Holm-corrected for the number of tests) and the interval of differences that
    the test does not reject. With too few runs to show anything, no claim is
    made: four metrics need eight pairs.

    [dim]dcgan compare --sweep weight-init
    dcgan compare --by optimizer.lr --where 'recipe == "astro"'[/dim]
    """
    from analysis.comparison.compare import compare as compare_runs

    selected = select_runs(Selection(store, runs or (), sweep, where, sources or ()))
    comparison = compare_runs(
        selected, by=by or (), metrics=metric or (), baseline=baseline, anyway=anyway
    )
    if as_json:
        print_json(_to_json(comparison))
        return
    _print(comparison, Console(highlight=False))


def _print(comparison: Comparison, console: Console) -> None:
    from analysis.caveats import NO_QUALITY
    from analysis.comparison.conclusions import findings, outcomes_to_explain, verdict
    from analysis.comparison.failures import RULE
    from analysis.comparison.tables import Table as ComparisonTable
    from analysis.comparison.tables import effect_table, failure_table, summary_table

    for objection in comparison.overridden:
        console.print(Text(escape_control_characters(objection), style="red"))
    console.print(Text(_headline(comparison), style="bold"))
    for warning in comparison.warnings:
        console.print(Text(escape_control_characters(warning), style="yellow"))
    console.print()
    for table in (summary_table(comparison), effect_table(comparison)):
        fitting = _fitting_table(table, console.width)
        fitting.print(console)
        shown = reduce(ComparisonTable.without, fitting.left_out, table)
        console.print(Text(escape_control_characters(shown.caption), style="dim"))
        console.print()
    if outcomes_to_explain(comparison):
        failures = failure_table(comparison)
        _fitting_table(failures, console.width).print(console)
        console.print(Text(escape_control_characters(f"{failures.caption} {RULE}"), style="dim"))
        console.print()
    for text in (verdict(comparison), *findings(comparison)):
        console.print(Text(escape_control_characters(text), style="bold"))
    console.print(Text(NO_QUALITY, style="dim"))


def _headline(comparison: Comparison) -> str:
    seeds = set(comparison.runs["seed"])
    constant_keys = plural(len(comparison.constant), "other key")
    return escape_control_characters(
        f"{', '.join(comparison.factors)}: {len(comparison.labels)} arms, "
        f"{plural(len(seeds), 'seed')}, "
        f"{len(comparison.runs)} runs; {constant_keys} with the same value in all runs."
    )


def _fitting_table(table: ComparisonTable, width: int) -> FittingTable:
    """The table for the terminal; a name that spans several rows is shown in the first only."""
    columns = []
    for position, heading in enumerate(table.columns):
        cells = table.column(position)
        if position == 0:
            shown_before = ["", *cells]
            pairs = zip(cells, shown_before, strict=False)
            cells = ["" if cell == before else cell for cell, before in pairs]
        column = text_column if position < table.texts else Column
        texts = [Text(escape_control_characters(cell)) for cell in cells]
        columns.append(column(escape_control_characters(heading), texts))
    return fitting_table(columns, width, optional=table.optional, strong=table.strong)


def _to_json(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison; null for numbers that are not finite, which JSON does not have."""
    from analysis.comparison.conclusions import conclusion

    def rows(frame: pd.DataFrame) -> Any:
        # pandas' own JSON keeps a number of decimals, which a small value has not enough of.
        return frame.rename(columns=_JSON_KEYS).to_dict("records")

    return {
        "factors": list(comparison.factors),
        "baseline": comparison.baseline,
        "arms": comparison.labels,
        "constant": dict(comparison.constant),
        "runs": rows(comparison.runs.reset_index()),
        "summary": rows(comparison.summary),
        "differences": rows(comparison.differences),
        "endings": rows(comparison.failures),
        "tests": comparison.tests,
        "warnings": [*comparison.overridden, *comparison.warnings],
        "conclusion": conclusion(comparison),
    }
