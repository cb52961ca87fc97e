"""The numbers of a comparison as tables of text, for terminals and reports."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from analysis.comparison.compare import Comparison
from analysis.comparison.conclusions import signed, signed_range
from analysis.comparison.failures import FAILURES
from analysis.comparison.power import POWER
from tracking.wording import plural, rounded

_MISSING = "\N{EN DASH}"
_ROUNDING = 1e-12
"""What rounding can leave of a difference between equal values."""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: What the table shows, in a sentence or two.
        columns: The headings.
        rows: One cell per column.
        texts: How many columns from the left hold text; the others hold numbers.
        strong: Indices of the rows that are printed in bold.
        optional: Headings of the columns to drop, in this order, if the table is too wide.
        explanations: Heading of a column -> the sentence that explains it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    strong: frozenset[int] = frozenset()
    optional: tuple[str, ...] = ()
    explanations: Mapping[str, str] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """What the table shows, then the explanations of its columns."""
        explained = (text for column, text in self.explanations.items() if column in self.columns)
        return " ".join([self.title, *explained])

    def column(self, index: int) -> list[str]:
        """The cells of one column without its heading."""
        return [row[index] for row in self.rows]

    def without(self, column: str) -> Table:
        """The same table without one of its columns."""
        index = self.columns.index(column)

        def shortened(cells: tuple[str, ...]) -> tuple[str, ...]:
            return (*cells[:index], *cells[index + 1 :])

        return replace(
            self,
            columns=shortened(self.columns),
            rows=tuple(map(shortened, self.rows)),
            texts=self.texts - (index < self.texts),
        )


def summary_table(comparison: Comparison) -> Table:
    """Mean and spread of each measure in each arm."""
    keys = ["mean", "std", "median", "min", "max"]
    rows = []
    for measure in comparison.measures:
        table = comparison.summary
        table = table[table["metric"] == measure.name].set_index("arm").loc[comparison.labels]
        numbers = iter(align_decimals([float(value) for value in table[keys].to_numpy().flat]))
        for label, row in zip(comparison.labels, table.to_dict("records"), strict=True):
            count = f"{row['n']}" if row["n"] == row["runs"] else f"{row['n']} of {row['runs']}"
            cells = tuple(islice(numbers, len(keys)))
            rows.append((measure.words, short_label(comparison, label), count, *cells))
    return Table(
        "Each metric over the seeds of each arm. Per-batch metrics are averaged over the last 10% "
        "of the steps.",
        ("metric", factor_header(comparison), "n", "mean", "std", "median", "min", "max"),
        tuple(rows),
        texts=2,
        optional=("median", "min", "max"),
        explanations={"n": "n counts the runs whose value is finite."},
    )


def effect_table(comparison: Comparison) -> Table:
    """How each arm differs from the baseline; rows in which a difference was shown are bold."""
    words = {measure.name: measure.words for measure in comparison.measures}
    records = comparison.differences.to_dict("records")
    rows = []
    for row in records:
        first, second = row["counts"]
        interval = f"{signed_range(row['ci_low'], row['ci_high'])} ({1 - row['level']:.1%})"
        rows.append(
            (
                words[row["metric"]],
                short_label(comparison, row["arm"]),
                plural(int(first), "pair") if row["paired"] else f"{second} vs {first}",
                signed(row["mean"]),
                interval if math.isfinite(row["ci_low"]) else _MISSING,
                _p_value(row),
                f"{row['prob_superiority']:.2f}",
                format_number(row["minimum_detectable_effect"], 2),
            )
        )
    return Table(
        f"Differences from {comparison.baseline}.{_legend(records)}",
        (
            "metric",
            factor_header(comparison),
            "runs",
            "difference",
            "interval",
            "p",
            "P(larger)",
            "detectable",
        ),
        tuple(rows),
        texts=2,
        strong=frozenset(position for position, row in enumerate(records) if row["shown"]),
        optional=("P(larger)", "detectable", "runs", "interval"),
        explanations={
            "p": "p: permutation test, of signs for pairs of seeds, else of Welch's t; corrected "
            f"by Holm's procedure for a family of {_family(comparison)}.",
            "interval": "Interval: every difference that this test does not reject, at the level "
            "of its step in Holm's procedure.",
            "P(larger)": "P(larger): the probability that a run of the arm has the larger value.",
            "detectable": "Detectable: the true difference that this many runs would show with "
            f"{POWER:.0%} power.",
        },
    )


def failure_table(comparison: Comparison) -> Table:
    """How many runs of each arm collapsed, diverged or failed."""
    records = comparison.failures.to_dict("records")
    rows = (
        (
            short_label(comparison, row["arm"]),
            f"{row['runs']}",
            *(f"{row[name]}" for name in (*FAILURES, "unknown")),
            f"{100 * row['ci_low']:.0f}% to {100 * row['ci_high']:.0f}%"
            if math.isfinite(row["ci_low"])
            else _MISSING,
            _p_value(row),
        )
        for row in records
    )
    return Table(
        "Runs that collapsed, diverged or failed, with the 95% interval of their share (Wilson) "
        "of the runs that could be judged; the others are unknown."
        f"{_legend(records)}",
        (factor_header(comparison), "runs", *FAILURES, "unknown", "95% interval", "p"),
        tuple(rows),
        strong=frozenset(position for position, row in enumerate(records) if row["shown"]),
        optional=("95% interval", "runs"),
        explanations={
            "p": "p: Fisher's exact test against the baseline, in the same family as the metrics; "
            "left out where there are too few failures to show anything."
        },
    )


def _legend(rows: Iterable[Mapping[Hashable, Any]]) -> str:
    return " Bold, with *: a difference was shown." if any(row["shown"] for row in rows) else ""


def _p_value(row: Mapping[Hashable, Any]) -> str:
    """A p value, with a star where a difference was shown: plain text has no bold."""
    if not math.isfinite(row["p_holm"]):
        return _MISSING
    return f"{row['p_holm']:.2g}{'*' if row['shown'] else ''}"


def _family(comparison: Comparison) -> str:
    """The number of tests in the family; with its composition if failures are tested too."""
    tests = plural(comparison.tests, "test")
    counts = int(comparison.failures["p_holm"].notna().sum())
    if not counts:
        return tests
    return f"{tests}: {comparison.tests - counts} of metrics and {counts} of failures"


def short_label(comparison: Comparison, label: str) -> str:
    """Only the values of an arm, for columns whose heading names the factors."""
    return next(arm.short_label for arm in comparison.arms if arm.label == label)


def format_number(value: float, digits: int = 4) -> str:
    """A number with `digits` digits; a dash if it is not finite."""
    if not math.isfinite(value):
        return _MISSING
    number = rounded(value, digits) if abs(value) > _ROUNDING else "0"
    return number.replace("-", "\N{MINUS SIGN}")


def align_decimals(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers with the same number of decimals, so that they can be compared below each other.

    The largest has `digits` digits, the smallest at least two unless that would take more than two
    further decimals. Counts have no decimals; a number that is not finite is a dash.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and abs(value) > _ROUNDING]
    decimals = 0
    if not all(size.is_integer() for size in sizes):
        for_largest = digits - 1 - math.floor(math.log10(max(sizes)))
        for_smallest = 1 - math.floor(math.log10(min(sizes)))
        decimals = max(0, for_largest, min(for_smallest, for_largest + 2))

    def text(value: float) -> str:
        if not math.isfinite(value):
            return _MISSING
        if value and _ROUNDING < abs(value) < 0.5 * 10**-decimals:
            return format_number(value, 2)
        value = value if abs(value) > _ROUNDING else 0.0
        return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")

    return [text(value) for value in values]


def factor_header(comparison: Comparison) -> str:
    """The heading of a column of arms."""
    return ", ".join(comparison.factors)
