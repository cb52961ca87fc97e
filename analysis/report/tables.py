"""The numbers of a comparison in cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis.comparison import Comparison, is_shown
from analysis.conclusions import signed
from analysis.endings import Ending
from analysis.report.content import Table
from tracking.events import SYS
from tracking.fields import to_text


def values(comparison: Comparison) -> Table:
    """Mean and spread of each measure in each arm."""
    rows = []
    for measure in comparison.measures:
        for label in comparison.labels:
            table = comparison.summary
            row = table[(table["metric"] == measure.name) & (table["arm"] == label)].iloc[0]
            count = f"{row['n']}" if row["n"] == row["runs"] else f"{row['n']} of {row['runs']}"
            numbers = (number(row[key]) for key in ("mean", "std", "median", "min", "max"))
            rows.append((measure.words, short(comparison, label), count, *numbers))
    return Table(
        "Values over the seeds of each arm. Metrics of batches are means over the last tenth of "
        "the steps; n counts finite values.",
        ("metric", _factors(comparison), "n", "mean", "std", "median", "min", "max"),
        tuple(rows),
        texts=2,
    )


def differences(comparison: Comparison) -> Table:
    """How far each arm lies from the baseline; rows that may be believed stand out."""
    words = {each.name: each.words for each in comparison.measures}
    records = comparison.differences.to_dict("records")
    rows = []
    for row in records:
        first, second = row["counts"]
        known = math.isfinite(row["low"])
        rows.append(
            (
                words[row["metric"]],
                short(comparison, row["arm"]),
                f"{first} pairs" if row["paired"] else f"{second} v {first}",
                signed(row["mean"]),
                f"{signed(row['low'])} to {signed(row['high'])}" if known else "\N{EN DASH}",
                f"{row['p_holm']:.2g}",
                f"{row['larger']:.2f}",
                number(row["detectable"]),
            )
        )
    return Table(
        f"Differences to {comparison.baseline}, with the 95% interval of each (BCa bootstrap). "
        "p: of a permutation test, corrected for the number of rows (Holm). P(larger): that a run "
        "of the arm has the larger value. Detectable: what so many runs would most likely have "
        "shown. Bold: shown at the 5% level.",
        (
            "metric",
            _factors(comparison),
            "runs",
            "difference",
            "95% interval",
            "p",
            "P(larger)",
            "detectable",
        ),
        tuple(rows),
        texts=2,
        strong=frozenset(place for place, row in enumerate(records) if is_shown(row)),
    )


def endings(comparison: Comparison) -> Table:
    """How many runs of each arm broke."""
    rows = (
        (
            short(comparison, row["arm"]),
            f"{row['runs']}",
            f"{row['collapsed']}",
            f"{row['diverged']}",
            f"{100 * row['low']:.0f}% to {100 * row['high']:.0f}%",
        )
        for row in comparison.endings.to_dict("records")
    )
    return Table(
        "Runs that broke, and the 95% interval of their share (Wilson).",
        (_factors(comparison), "runs", "collapsed", "diverged", "95% interval"),
        tuple(rows),
    )


def runs_of(comparison: Comparison) -> Table:
    """Every run with its arm, seed, ending and values."""
    names = [each.name for each in comparison.measures]
    rows = (
        (
            str(run),
            short(comparison, row["arm"]),
            row["ending"],
            f"{row['seed']}",
            *(number(row[name]) for name in names),
        )
        for run, row in zip(comparison.runs.index, comparison.runs.to_dict("records"), strict=True)
    )
    words = (each.words for each in comparison.measures)
    columns = ("run", _factors(comparison), "ending", "seed", *words)
    return Table("Runs that were compared", columns, tuple(rows), texts=3)


def runs_alone(table: pd.DataFrame, endings: Sequence[Ending], last: pd.DataFrame) -> Table:
    """Every run with what is known of its end. last: the newest value of each metric, by run."""
    metrics = [path for path in last.columns if last[path].notna().any()]
    rows = []
    newest = last.to_dict("index")
    for (run, fields), ending in zip(table.to_dict("index").items(), endings, strict=True):
        told = (fields.get(f"{SYS}/{key}") for key in ("recipe", "status"))
        rows.append(
            (
                str(run),
                *("" if each is None else str(each) for each in told),
                ending,
                to_text(fields.get(f"{SYS}/seed")),
                *(number(newest[run][path]) for path in metrics),
            )
        )
    columns = ("run", "recipe", "status", "ending", "seed")
    names = (path.rpartition("/")[2] for path in metrics)
    return Table("Newest values of the batches", (*columns, *names), tuple(rows), texts=4)


def short(comparison: Comparison, label: str) -> str:
    """An arm by its values alone, where their keys stand above."""
    return ", ".join(map(to_text, comparison.arms.values[label]))


def number(value: float) -> str:
    """Four digits; a dash for what is not finite."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    shown = f"{value:.4g}" if abs(value) > 1e-12 else "0"  # what rounding leaves of equal values
    return shown.replace("-", "\N{MINUS SIGN}")


def _factors(comparison: Comparison) -> str:
    return ", ".join(comparison.arms.factors)
