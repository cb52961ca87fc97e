"""The results of a comparison in sentences."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from analysis.comparison.compare import Comparison
from analysis.comparison.failures import FAILURES, TrainingOutcome
from analysis.comparison.power import POWER, min_pairs, min_runs
from analysis.comparison.statistics import wilson_interval
from tracking.wording import join_with_and, plural, rounded

FEW_ARMS = 3
"""Up to this many arms besides the baseline get a sentence each."""


def verdict(comparison: Comparison) -> str:
    """The result in one sentence: the metrics in which a difference was shown."""
    rows = comparison.differences.to_dict("records")
    shown = {row["metric"] for row in rows if row["shown"]}
    names = [measure.words for measure in comparison.measures if measure.name in shown]
    if comparison.failures["shown"].any():
        names.append("number of failed trainings")
    if names:
        return f"A difference was shown in the {join_with_and(names)}."
    if not rows:
        return "No claim can be made: there are no finite values to compare."
    if not any(row["can_show"] for row in rows):
        return "No claim can be made from so few runs."
    return "No difference was shown. This does not mean that there is none."


def conclusion(comparison: Comparison) -> str:
    """One sentence per arm except the baseline on the differences that were shown or not."""
    return " ".join(sentences_by_arm(comparison).values())


def outcomes_to_explain(comparison: Comparison) -> bool:
    """Whether any run failed or could not be judged, so that a reader needs `failures.RULE`."""
    return bool((comparison.runs["outcome"] != "whole").any())


def findings(comparison: Comparison) -> list[str]:
    """The conclusion and the failures; of many arms, only those in which something was shown."""
    by_arm = sentences_by_arm(comparison)
    if len(by_arm) <= FEW_ARMS:
        return [*by_arm.values(), failures_in_words(comparison)]
    values, failures = comparison.differences, comparison.failures
    shown = {*values["arm"][values["shown"].astype(bool)], *failures["arm"][failures["shown"]]}
    texts = [sentence for arm, sentence in by_arm.items() if arm in shown]
    rest = len(by_arm) - len(shown)
    if rest and shown:
        texts.append(
            f"No difference was shown between {comparison.baseline} and the other "
            f"{plural(rest, 'arm')}."
        )
    elif rest:
        texts.append(f"{rest} arms were compared with {comparison.baseline}.")
    total = failures[["runs", "unknown", *FAILURES]].sum().to_dict()
    runs = plural(_judged(total), "run")
    texts.append(
        f"Collapsed, diverged or failed: {_failed(total)} of {runs}{_not_judged(total)}."
        if _judged(total)
        else f"Collapsed, diverged or failed: none of the {total['runs']} runs could be judged."
    )
    return [*texts, "The tables show every arm, and which differences could have been missed."]


def sentences_by_arm(comparison: Comparison) -> dict[str, str]:
    """The sentences of the conclusion by label of the arm."""
    values, failures = comparison.differences, comparison.failures
    return {
        arm: _sentence(
            comparison,
            arm,
            values[values["arm"] == arm].to_dict("records"),
            bool(failures["shown"][failures["arm"] == arm].any()),
        )
        for arm in comparison.labels[1:]
    }


def failures_in_words(comparison: Comparison) -> str:
    """How many runs of each arm collapsed, diverged or failed."""
    parts = map(_failed_of_arm, comparison.failures.to_dict("records"))
    return f"Collapsed, diverged or failed: {'; '.join(parts)}."


def failures_of_one_arm(outcomes: Sequence[TrainingOutcome]) -> str:
    """How many of some runs that differ only in their seed collapsed, diverged or failed."""
    judged = [outcome for outcome in outcomes if outcome != "unknown"]
    if not judged:
        return f"Collapsed, diverged or failed: none of the {len(outcomes)} runs could be judged."
    failed = sum(outcome in FAILURES for outcome in judged)
    low, high = wilson_interval(failed, len(judged))
    others = _not_judged({"unknown": len(outcomes) - len(judged)})
    return (
        f"Collapsed, diverged or failed: {failed} of {plural(len(judged), 'run')}{others}, "
        f"95% interval {_percent(low)} to {_percent(high)}."
    )


def _failed_of_arm(row: Mapping[Hashable, Any]) -> str:
    if not _judged(row):
        return f"none of the {row['runs']} with {row['arm']} could be judged"
    p = f", p = {row['p_holm']:.2g}" if row["p_holm"] <= 1 else ""
    return (
        f"{_failed(row)} of {_judged(row)} with {row['arm']}{_not_judged(row)}, "
        f"95% interval {_percent(row['ci_low'])} to {_percent(row['ci_high'])}{p}"
    )


def _not_judged(row: Mapping[Hashable, Any]) -> str:
    return f" ({row['unknown']} more could not be judged)" if row["unknown"] else ""


def _sentence(
    comparison: Comparison, arm: str, rows: Sequence[Mapping[Hashable, Any]], more_failed: bool
) -> str:
    arms = f"{arm} compared with {comparison.baseline}"
    words = {measure.name: measure.words for measure in comparison.measures}
    sizes = list(dict.fromkeys(map(_sample_size, rows)))
    parts = []
    for size in sizes:
        of_size = [row for row in rows if _sample_size(row) == size]
        clauses = _clauses(of_size, words, comparison.tests)
        parts += clauses if len(sizes) == 1 else [f"over {size}, {part}" for part in clauses]
    if more_failed:
        counts = {row["arm"]: row for row in comparison.failures.to_dict("records")}
        first, second = counts[comparison.baseline], counts[arm]
        parts.append(
            f"{_failed(second)} of {plural(_judged(second), 'training')} failed where "
            f"{_failed(first)} of {_judged(first)} did (p = {second['p_holm']:.2g})"
        )
    if not parts:
        return f"{arms}: no claim can be made, because no finite values can be compared."
    return f"{arms}{f', over {sizes[0]}' if len(sizes) == 1 else ''}: {'; '.join(parts)}."


def _clauses(
    rows: Sequence[Mapping[Hashable, Any]], words: Mapping[str, str], tests: int
) -> list[str]:
    """Clauses on what the runs show, do not show, and are too few to show."""

    def metrics(chosen: Sequence[Mapping[Hashable, Any]]) -> str:
        return join_with_and([words[row["metric"]] for row in chosen])

    shown = [
        f"the {words[row['metric']]} is {'higher' if row['mean'] > 0 else 'lower'} by "
        f"{rounded(abs(row['mean']), 3)} ({interval_name(row['level'])} "
        f"{signed_range(row['ci_low'], row['ci_high'])}, p = {row['p_holm']:.2g})"
        for row in rows
        if row["shown"]
    ]
    parts = [join_with_and(shown)] if shown else []
    if hidden := [row for row in rows if not row["shown"] and row["can_show"]]:
        effects = join_with_and(
            [f"{rounded(row['minimum_detectable_effect'], 2)}" for row in hidden]
        )
        differences = "a difference" if len(hidden) == 1 else "differences"
        parts.append(
            f"no difference was shown in the {metrics(hidden)} "
            f"(this many {'seeds' if hidden[0]['paired'] else 'runs'} would show, with "
            f"{POWER:.0%} power, {differences} of {effects})"
        )
    if unclear := [row for row in rows if not row["shown"] and not row["can_show"]]:
        paired = unclear[0]["paired"]
        needed = (
            f"{min_pairs(tests)} pairs of seeds"
            if paired
            else f"{min_runs(tests)} runs in each arm"
        )
        family = f"with {tests} tests" if tests > 1 else "even with a single test"
        parts.append(
            f"no claim can be made about the {metrics(unclear)} "
            f"({family}, at least {needed} are needed)"
        )
    return parts


def interval_name(level: float) -> str:
    """`95% interval`, `98.8% interval`."""
    return f"{100 * (1 - level):.3g}% interval"


def signed(number: float) -> str:
    """A number with its sign, such as `+0.12`; negative ones have a true minus sign."""
    return rounded(number, 3, "+").replace("-", "\N{MINUS SIGN}")


def signed_range(low: float, high: float) -> str:
    """`+0.1 to +0.2`."""
    return f"{signed(low)} to {signed(high)}"


def _sample_size(row: Mapping[Hashable, Any]) -> str:
    first, second = row["counts"]
    if row["paired"]:
        return f"{plural(first, 'pair')} of seeds"
    return f"{second} and {plural(first, 'run')}, not paired by seed"


def _failed(row: Mapping[Hashable, Any]) -> int:
    return sum(row[name] for name in FAILURES)


def _judged(row: Mapping[Hashable, Any]) -> int:
    return int(row["runs"] - row["unknown"])


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
