"""The numbers of a comparison as tables of text, for terminals and reports."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.comparison.compare import Comparison, is_significant
from analysis.comparison.conclusions import signed, signed_range

_MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class Table:
    """Cells as a reader sees them.

    Attributes:
        caption: What the table shows.
        columns: The headings.
        rows: One cell per column.
        texts: How many columns from the left hold text; the others hold numbers.
        strong: Positions of the rows that are printed in bold.
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
        "Each metric over the seeds of each arm. Per-batch metrics are averaged over the last 10% "
        "of the steps; n counts the runs whose value is finite.",
        ("metric", factor_header(comparison), "n", "mean", "std", "median", "min", "max"),
        tuple(rows),
        texts=2,
    )


def effect_table(comparison: Comparison) -> Table:
    """How far each arm is from the baseline; significant rows stand out."""
    words = {measure.name: measure.words for measure in comparison.measures}
    records = comparison.differences.to_dict("records")
    rows = []
    for row in records:
        first, second = row["counts"]
        has_interval = math.isfinite(row["ci_low"])
        rows.append(
            (
                words[row["metric"]],
                short_label(comparison, row["arm"]),
                f"{first} pairs" if row["paired"] else f"{second} vs {first}",
                signed(row["mean"]),
                signed_range(row["ci_low"], row["ci_high"]) if has_interval else _MISSING,
                f"{row['p_holm']:.2g}",
                f"{row['prob_superiority']:.2f}",
                format_number(row["minimum_detectable_effect"]),
            )
        )
    return Table(
        f"Differences to {comparison.baseline} with 95% intervals (BCa bootstrap). p: permutation "
        "test, corrected for the number of rows (Holm). P(larger): the probability that a run of "
        "the arm has the larger value. Detectable: the smallest difference that this many runs "
        "would have shown with 80% probability. Bold: significant at the 5% level.",
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
        strong=frozenset(position for position, row in enumerate(records) if is_significant(row)),
    )


def failure_table(comparison: Comparison) -> Table:
    """How many runs of each arm collapsed or diverged."""
    rows = (
        (
            short_label(comparison, row["arm"]),
            f"{row['runs']}",
            f"{row['collapsed']}",
            f"{row['diverged']}",
            f"{100 * row['ci_low']:.0f}% to {100 * row['ci_high']:.0f}%",
        )
        for row in comparison.failures.to_dict("records")
    )
    return Table(
        "Runs that collapsed or diverged, with the 95% interval of their share (Wilson).",
        (factor_header(comparison), "runs", "collapsed", "diverged", "95% interval"),
        tuple(rows),
    )


def short_label(comparison: Comparison, label: str) -> str:
    """The values of an arm alone, for columns whose heading names the factors."""
    return next(arm.short_label for arm in comparison.arms if arm.label == label)


def format_number(value: float) -> str:
    """A number with four digits; a dash if it is not finite."""
    if not math.isfinite(value):
        return _MISSING
    # Rounding can leave a tiny difference between equal values.
    digits = f"{value:.4g}" if abs(value) > 1e-12 else "0"
    return digits.replace("-", "\N{MINUS SIGN}")


def factor_header(comparison: Comparison) -> str:
    """The heading of a column of arms."""
    return ", ".join(comparison.factors)
