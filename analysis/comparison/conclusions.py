"""What a comparison lets one say, in plain words."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from analysis.comparison.compare import Comparison, is_significant
from analysis.comparison.statistics import LEAST_PAIRS
from tracking.wording import plural

CAVEAT = "Losses and scores tell how the game of G and D went, not how good the images are."


def verdict(comparison: Comparison) -> str:
    """The shortest answer: in what a difference was shown."""
    rows = comparison.differences.to_dict("records")
    shown = {row["metric"] for row in rows if is_significant(row)}
    if shown:
        names = _list([each.words for each in comparison.measures if each.name in shown])
        return f"A difference was shown in the {names}."
    if all(min(row["counts"]) < LEAST_PAIRS for row in rows):
        return "No claim can be made from so few runs."
    return "No difference was shown, which does not show that there is none."


def conclusion(comparison: Comparison) -> str:
    """One sentence for each arm but the baseline; of too few runs that nothing can be said."""
    return " ".join(sentences(comparison).values())


def sentences(comparison: Comparison) -> dict[str, str]:
    """Those of the conclusion, by arm."""
    differences = comparison.differences
    return {
        arm: _sentence(comparison, arm, differences[differences["arm"] == arm].to_dict("records"))
        for arm in comparison.labels[1:]
    }


def runs_that_broke(comparison: Comparison) -> str:
    """How many runs collapsed or diverged, arm by arm."""
    parts = []
    for row in comparison.endings.to_dict("records"):
        parts.append(
            f"{row['collapsed'] + row['diverged']} of {row['runs']} with {row['arm']} "
            f"(95% interval {_percent(row['low'])} to {_percent(row['high'])})"
        )
    return f"Collapsed or diverged: {'; '.join(parts)}."


def _sentence(comparison: Comparison, arm: str, rows: Sequence[Mapping[Hashable, Any]]) -> str:
    against = f"{arm} against {comparison.baseline}"
    if not rows:
        return f"{against}: no claim can be made, as no finite value can be compared."
    if min(min(row["counts"]) for row in rows) < LEAST_PAIRS:
        fewest = min(rows, key=lambda row: min(row["counts"]))
        return (
            f"{against}: no claim can be made from {_counted(fewest)}, since with fewer than "
            f"{LEAST_PAIRS} even a perfect order may be chance."
        )
    words = {each.name: each.words for each in comparison.measures}
    shown = [
        f"the {words[row['metric']]} is {'higher' if row['mean'] > 0 else 'lower'} by "
        f"{abs(row['mean']):.3g} (95% interval {signed(row['low'])} to {signed(row['high'])}, "
        f"p = {row['p_holm']:.2g})"
        for row in rows
        if is_significant(row)
    ]
    hidden = [row for row in rows if not is_significant(row)]
    parts = [_list(shown)] if shown else []
    if hidden:
        names = _list([words[row["metric"]] for row in hidden])
        missed = _list([f"{row['detectable']:.2g}" for row in hidden])
        order = " (in this order)" if len(hidden) > 1 else ""
        parts += [
            f"no difference was shown in the {names}, where one below {missed}{order} would "
            "likely have been missed"
        ]
    return f"{against}, over {_counted(rows[0])}: {'; '.join(parts)}."


def signed(number: float) -> str:
    """`+0.12`, with a real minus sign."""
    return f"{number:+.3g}".replace("-", "\N{MINUS SIGN}")


def _counted(row: Mapping[Hashable, Any]) -> str:
    first, second = row["counts"]
    if row["paired"]:
        return f"{plural(first, 'pair')} of seeds"
    return f"{second} and {first} runs of other seeds"


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
