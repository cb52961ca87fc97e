"""The results of a comparison in sentences."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from analysis.comparison.compare import Comparison, is_significant
from analysis.comparison.statistics import LEAST_PAIRS
from tracking.wording import plural

CAVEAT = (
    "Losses and D's scores show how the game between G and D went, not how good the images are."
)


def verdict(comparison: Comparison) -> str:
    """The result in one sentence: the measures in which a difference was shown."""
    rows = comparison.differences.to_dict("records")
    shown = {row["metric"] for row in rows if is_significant(row)}
    if shown:
        names = _list([measure.words for measure in comparison.measures if measure.name in shown])
        return f"A difference was shown in the {names}."
    if all(min(row["counts"]) < LEAST_PAIRS for row in rows):
        return "No conclusion can be drawn from so few runs."
    return "No difference was shown. This does not mean that there is none."


def conclusion(comparison: Comparison) -> str:
    """One sentence per arm except the baseline, on what was shown and what was not."""
    return " ".join(sentences(comparison).values())


def sentences(comparison: Comparison) -> dict[str, str]:
    """The sentences of the conclusion by label of the arm."""
    differences = comparison.differences
    return {
        arm: _sentence(comparison, arm, differences[differences["arm"] == arm].to_dict("records"))
        for arm in comparison.labels[1:]
    }


def runs_that_broke(comparison: Comparison) -> str:
    """How many runs of each arm collapsed or diverged."""
    parts = []
    for row in comparison.failures.to_dict("records"):
        parts.append(
            f"{row['collapsed'] + row['diverged']} of {row['runs']} with {row['arm']} "
            f"(95% interval {_percent(row['ci_low'])} to {_percent(row['ci_high'])})"
        )
    return f"Collapsed or diverged: {'; '.join(parts)}."


def _sentence(comparison: Comparison, arm: str, rows: Sequence[Mapping[Hashable, Any]]) -> str:
    arms = f"{arm} compared with {comparison.baseline}"
    if not rows:
        return f"{arms}: no conclusion can be drawn because no finite values can be compared."
    if min(min(row["counts"]) for row in rows) < LEAST_PAIRS:
        fewest = min(rows, key=lambda row: min(row["counts"]))
        return (
            f"{arms}: no conclusion can be drawn from {_sample_size(fewest)}. With fewer than "
            f"{LEAST_PAIRS}, even a perfect separation may be due to chance."
        )
    words = {measure.name: measure.words for measure in comparison.measures}
    shown = [
        f"the {words[row['metric']]} is {'higher' if row['mean'] > 0 else 'lower'} by "
        f"{abs(row['mean']):.3g} (95% interval {signed_range(row['ci_low'], row['ci_high'])}, "
        f"p = {row['p_holm']:.2g})"
        for row in rows
        if is_significant(row)
    ]
    hidden = [row for row in rows if not is_significant(row)]
    parts = [_list(shown)] if shown else []
    if hidden:
        names = _list([words[row["metric"]] for row in hidden])
        limits = _list([f"{row['minimum_detectable_effect']:.2g}" for row in hidden])
        order = ", in this order," if len(hidden) > 1 else ""
        parts += [
            f"no difference was shown in the {names} (differences below {limits}{order} would "
            "likely have been missed)"
        ]
    return f"{arms}, over {_sample_size(rows[0])}: {'; '.join(parts)}."


def signed(number: float) -> str:
    """A number with its sign, such as `+0.12`; negative ones have a true minus sign."""
    return f"{number:+.3g}".replace("-", "\N{MINUS SIGN}")


def signed_range(low: float, high: float) -> str:
    """`+0.1 to +0.2`."""
    return f"{signed(low)} to {signed(high)}"


def _sample_size(row: Mapping[Hashable, Any]) -> str:
    first, second = row["counts"]
    if row["paired"]:
        return f"{plural(first, 'pair')} of seeds"
    return f"{second} and {first} runs with different seeds"


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
