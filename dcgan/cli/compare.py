"""`dcgan compare`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import plain
from dcgan.cli.options import DEFAULT_STORE, Json, Store
from dcgan.cli.selection import (
    Anyway,
    Baseline,
    By,
    Metrics,
    Places,
    RunReferences,
    Selection,
    Sweep,
    Where,
    select_runs,
)

if TYPE_CHECKING:
    from analysis.comparison import Comparison


def compare(
    runs: RunReferences = None,
    by: By = None,
    metric: Metrics = None,
    sweep: Sweep = None,
    where: Where = None,
    baseline: Baseline = None,
    anyway: Anyway = False,
    places: Places = None,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Hold arms of runs against each other: does the factor change the outcome?

    Of each metric: its mean and spread over seeds, the difference to the first arm with a 95%
    interval (BCa bootstrap), a permutation test, paired where arms share their seeds, corrected
    for the number of tests (Holm). With fewer than six pairs no claim is made.

    [dim]dcgan compare --sweep weight-init
    dcgan compare --by optimizer.lr --where 'recipe == "astro"' --metric nearest_epoch[/dim]
    """
    from analysis.comparison import compare as compare_runs

    selected = select_runs(Selection(store, runs or (), sweep, where, places or ()))
    comparison = compare_runs(
        selected, by=by or (), metrics=metric or (), baseline=baseline, anyway=anyway
    )
    if as_json:
        print(json.dumps(_as_tree(comparison), indent=2))
        return
    _print(comparison, Console(highlight=False))


def _print(comparison: Comparison, console: Console) -> None:
    from analysis.conclusions import CAVEAT, conclusion, runs_that_broke
    from analysis.endings import RULE

    console.print(Text(_headline(comparison), style="bold"))
    for warning in comparison.warnings:
        console.print(Text(plain(warning), style="yellow"), soft_wrap=True)
    console.print()
    console.print(_values(comparison))
    console.print()
    console.print(_differences(comparison))
    console.print(
        "[dim]Difference to the first arm, its 95% interval. p: corrected for the number of rows. "
        "P(larger): that a run of the arm has the larger value. Detectable: what so many runs "
        "would most likely have shown.[/dim]"
    )
    console.print()
    console.print(Text(plain(runs_that_broke(comparison))))
    console.print(Text(RULE, style="dim"))
    console.print()
    console.print(Text(plain(conclusion(comparison)), style="bold"))
    console.print(Text(CAVEAT, style="dim"))


def _headline(comparison: Comparison) -> str:
    seeds = sorted(set(comparison.runs["seed"]))
    same = len(comparison.arms.constant)
    return plain(
        f"{', '.join(comparison.arms.factors)}: {len(comparison.labels)} arms, "
        f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}, "
        f"{len(comparison.runs)} runs; {same} other keys are the same in all."
    )


def _values(comparison: Comparison) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column(plain(", ".join(comparison.arms.factors)))
    for column in ("n", "mean", "std", "median", "min", "max"):
        table.add_column(column, justify="right", no_wrap=True)
    for measure in comparison.measures:
        for place, label in enumerate(comparison.labels):
            rows = comparison.summary
            row = rows[(rows["metric"] == measure.name) & (rows["arm"] == label)].iloc[0]
            numbers = (_number(row[name]) for name in ("mean", "std", "median", "min", "max"))
            count = f"{row['n']}" if row["n"] == row["runs"] else f"{row['n']}/{row['runs']}"
            name = measure.words if place == 0 else ""
            table.add_row(plain(name), Text(plain(_short(comparison, label))), count, *numbers)
    return table


def _differences(comparison: Comparison) -> Table:
    from analysis.comparison import is_shown

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("arm")
    for column in ("pairs", "difference", "95% interval", "p", "P(larger)", "detectable"):
        table.add_column(column, justify="right", no_wrap=True)
    words = {each.name: each.words for each in comparison.measures}
    for row in comparison.differences.to_dict("records"):
        first, second = row["counts"]
        shown = "bold" if is_shown(row) else ""
        table.add_row(
            plain(words[row["metric"]]),
            Text(plain(_short(comparison, row["arm"]))),
            f"{first}" if row["paired"] else f"{second} v {first}",
            Text(_signed(row["mean"]), style=shown),
            f"{_signed(row['low'])} to {_signed(row['high'])}" if row["low"] == row["low"] else "-",
            Text(f"{row['p_holm']:.2g}", style=shown),
            f"{row['larger']:.2f}",
            _number(row["detectable"]),
        )
    return table


def _short(comparison: Comparison, label: str) -> str:
    """An arm by its values alone; their keys stand above."""
    from tracking.fields import to_text

    return ", ".join(map(to_text, comparison.arms.values[label]))


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"  # what rounding leaves of equal values


def _signed(value: float) -> str:
    return f"{value:+.3g}"


def _as_tree(comparison: Comparison) -> dict[str, Any]:
    """All of it; what is not finite is null, for JSON has no such number."""
    from analysis.conclusions import conclusion

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
