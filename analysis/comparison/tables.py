"""The numbers of a comparison in cells, as a terminal and a report show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.comparison.compare import Comparison, is_significant
from analysis.comparison.conclusions import signed


@dataclass(frozen=True)
class Table:
    """Cells as a reader sees them.

    texts: how many columns from the left hold words, the others hold numbers.
    strong: places of the rows that stand out.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    strong: frozenset[int] = frozenset()


def summary_table(comparison: Comparison) -> Table:
    """Mean and spread of each measure in each arm."""
    rows = []
    for measure in comparison.measures:
        for label in comparison.labels:
            table = comparison.summary
            row = table[(table["metric"] == measure.name) & (table["arm"] == label)].iloc[0]
            count = f"{row['n']}" if row["n"] == row["runs"] else f"{row['n']} of {row['runs']}"
            numbers = (format_number(row[key]) for key in ("mean", "std", "median", "min", "max"))
            rows.append((measure.words, short_label(comparison, label), count, *numbers))
    return Table(
        "Values over the seeds of each arm. Metrics of batches are means over the last tenth of "
        "the steps; n counts finite values.",
        ("metric", factor_header(comparison), "n", "mean", "std", "median", "min", "max"),
        tuple(rows),
        texts=2,
    )


def effect_table(comparison: Comparison) -> Table:
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
                short_label(comparison, row["arm"]),
                f"{first} pairs" if row["paired"] else f"{second} v {first}",
                signed(row["mean"]),
                f"{signed(row['low'])} to {signed(row['high'])}" if known else "\N{EN DASH}",
                f"{row['p_holm']:.2g}",
                f"{row['larger']:.2f}",
                format_number(row["detectable"]),
            )
        )
    return Table(
        f"Differences to {comparison.baseline}, with the 95% interval of each (BCa bootstrap). "
        "p: of a permutation test, corrected for the number of rows (Holm). P(larger): that a run "
        "of the arm has the larger value. Detectable: what so many runs would most likely have "
        "shown. Bold: shown at the 5% level.",
        (
            "metric",
            factor_header(comparison),
            "runs",
            "difference",
            "95% interval",
            "p",
            "P(larger)",
            "detectable",
        ),
        tuple(rows),
        texts=2,
        strong=frozenset(place for place, row in enumerate(records) if is_significant(row)),
    )


def failure_table(comparison: Comparison) -> Table:
    """How many runs of each arm broke."""
    rows = (
        (
            short_label(comparison, row["arm"]),
            f"{row['runs']}",
            f"{row['collapsed']}",
            f"{row['diverged']}",
            f"{100 * row['low']:.0f}% to {100 * row['high']:.0f}%",
        )
        for row in comparison.endings.to_dict("records")
    )
    return Table(
        "Runs that broke, and the 95% interval of their share (Wilson).",
        (factor_header(comparison), "runs", "collapsed", "diverged", "95% interval"),
        tuple(rows),
    )


def short_label(comparison: Comparison, label: str) -> str:
    """An arm by its values alone, where their keys stand above."""
    return next(arm.short_label for arm in comparison.arms if arm.label == label)


def format_number(value: float) -> str:
    """Four digits; a dash for what is not finite."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    shown = f"{value:.4g}" if abs(value) > 1e-12 else "0"  # what rounding leaves of equal values
    return shown.replace("-", "\N{MINUS SIGN}")


def factor_header(comparison: Comparison) -> str:
    """The head of a column of arms."""
    return ", ".join(comparison.factors)
