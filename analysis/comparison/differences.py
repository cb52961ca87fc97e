"""The differences between the arms of a comparison and its baseline, as one family of tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.failures import FAILURES
from analysis.comparison.measures import Measure
from analysis.comparison.permutation_tests import ROUNDING
from analysis.comparison.power import LEVEL, min_pairs
from analysis.comparison.statistics import (
    ArmDifference,
    CorrectedTest,
    CountsTest,
    compare_counts,
    correct_family,
    paired_difference,
    unpaired_difference,
    wilson_interval,
)
from tracking.wording import join_with_and, plural

_COLUMNS = [
    "metric",
    "arm",
    "paired",
    "counts",
    "mean",
    "ci_low",
    "ci_high",
    "p",
    "p_holm",
    "level",
    "shown",
    "can_show",
    "exact",
    "prob_superiority",
    "minimum_detectable_effect",
]


@dataclass(frozen=True, eq=False)
class ArmDifferences:
    """How arms differ from the baseline.

    Attributes:
        values: One row per measure and arm except the baseline, without those that have no finite
            value: `metric`, `arm`, `paired`, `counts` (values of the baseline and of the arm, or
            pairs twice), `mean`, `ci_low`, `ci_high`, `p`, `p_holm`, `level` (of the interval and
            of p, by Holm's procedure), `shown`, `can_show` (whether this number of values could
            show anything in this family), `exact`, `prob_superiority`, `minimum_detectable_effect`.
        failures: One row per arm, the baseline first: `arm`, `runs`, `unknown` (how many of them
            could not be judged), the count of each of `failures.FAILURES`, `ci_low` and `ci_high`
            (the 95% interval of the share of failures among the runs that were judged, NaN if none
            was), then `p_holm` and `shown` for the difference from the baseline (Fisher's exact
            test); NaN and false for the baseline, and where so few failures could show nothing and
            are not in the family.
        tests: The size of the family.
        warnings: One sentence for each reason why runs are left out of a difference.
    """

    values: pd.DataFrame
    failures: pd.DataFrame
    tests: int
    warnings: tuple[str, ...]


def differences_from(
    baseline: str, runs: pd.DataFrame, measures: Sequence[Measure]
) -> ArmDifferences:
    """Compare each arm with the baseline in every measure and in its number of failures.

    Args:
        baseline: The label of its arm.
        runs: One row per run: `arm`, `seed`, `outcome`, and the value of each measure by its name.
        measures: The measures to compare.
    """
    arms = {str(arm): rows for arm, rows in runs.groupby("arm", sort=False)}
    arms = {baseline: arms.pop(baseline), **arms}
    others = [arm for arm in arms if arm != baseline]
    pairs: list[tuple[Measure, str]] = []
    differences: list[ArmDifference] = []
    warnings = []
    for measure, arm in itertools.product(measures, others):
        first, second = (arms[each].set_index("seed")[measure.name] for each in (baseline, arm))
        difference = arm_difference(first, second, len(others) * len(measures))
        if difference is None:
            lacking = [
                label
                for label, values in ((baseline, first), (arm, second))
                if not np.isfinite(values).any()
            ]
            reason = (
                f"{join_with_and(lacking)} {'has' if len(lacking) == 1 else 'have'} no finite value"
                if lacking
                else "no seed has a finite value in both arms"
            )
            warnings.append(
                f"{arm}: the {measure.words} cannot be compared, because {reason}"
                f"{' of it' if lacking else ''}."
            )
            continue
        if left_out := _left_out(first, second, difference):
            warnings.append(f"{arm}: the comparison of the {measure.words} {left_out}")
        pairs.append((measure, arm))
        differences.append(difference)
    counts_tests = [_compare_failures(arms[baseline], arms[arm]) for arm in others]
    corrected = correct_family(
        [
            *(difference.test.p() for difference in differences),
            *(test.p if test.min_p <= LEVEL else math.nan for test in counts_tests),
        ]
    )
    tests = sum(math.isfinite(test.p_holm) for test in corrected)
    rows = [
        {"metric": measure.name, "arm": arm, **_row(difference, test, tests)}
        for (measure, arm), difference, test in zip(pairs, differences, corrected, strict=False)
    ]
    of_failures = dict(zip(others, corrected[len(rows) :], strict=True))
    return ArmDifferences(
        values=pd.DataFrame(rows, columns=_COLUMNS),
        failures=pd.DataFrame(
            [
                {"arm": arm, **_count_failures(arm_runs), **_test_fields(of_failures.get(arm))}
                for arm, arm_runs in arms.items()
            ]
        ),
        tests=tests,
        warnings=tuple(warnings),
    )


def _row(difference: ArmDifference, test: CorrectedTest, tests: int) -> dict[str, Any]:
    low, high = difference.test.interval(test.level)
    return {
        "paired": difference.paired,
        "counts": difference.counts,
        "mean": difference.mean,
        "ci_low": low,
        "ci_high": high,
        "p": difference.test.p(),
        "p_holm": test.p_holm,
        "level": test.level,
        "shown": test.shown,
        "can_show": difference.test.min_p * tests <= LEVEL * (1 + ROUNDING),
        "exact": difference.test.exact,
        "prob_superiority": difference.prob_superiority,
        "minimum_detectable_effect": difference.minimum_detectable_effect(LEVEL / tests),
    }


def arm_difference(first: pd.Series, second: pd.Series, tests: int) -> ArmDifference | None:
    """The difference of two arms; None if one has no finite value, or if no pair has two.

    Paired if one arm has all seeds of the other, or if half of the seeds are shared and these are
    enough to show anything. Which runs count never depends on their values, except that runs with
    NaN are left out.

    Args:
        first: The values of the baseline, indexed by seed.
        second: The values of the arm, indexed by seed.
        tests: The maximum size of the family.
    """
    shared = first.index.intersection(second.index)
    fewer, more = sorted((len(first), len(second)))
    is_half = 2 * len(shared) >= more
    paired = is_half and (len(shared) == fewer or len(shared) >= min_pairs(tests))
    if paired:
        first, second = first.loc[shared], second.loc[shared]
        finite = np.isfinite(first.to_numpy()) & np.isfinite(second.to_numpy())
        first, second = first[finite], second[finite]
    values = [each.to_numpy(np.float64) for each in (first, second)]
    first_values, second_values = (each[np.isfinite(each)] for each in values)
    if not len(first_values) or not len(second_values):
        return None
    compare_values = paired_difference if paired else unpaired_difference
    return compare_values(first_values, second_values)


def _left_out(first: pd.Series, second: pd.Series, difference: ArmDifference) -> str:
    """The end of a sentence that says how many runs are left out and why; empty if none is."""
    total = len(first) + len(second)
    lost = total - sum(difference.counts)
    if not lost:
        return ""
    not_finite = int((~np.isfinite(first)).sum() + (~np.isfinite(second)).sum())
    alone = pd.concat(
        [
            first.loc[first.index.difference(second.index)],
            second.loc[second.index.difference(first.index)],
        ]
    )
    unpaired = int(np.isfinite(alone).sum()) if difference.paired else 0
    reasons = [
        f"{count} {reason}"
        for count, reason in (
            (not_finite, "without a finite value"),
            (unpaired, "with a seed that the other arm lacks"),
            (lost - not_finite - unpaired, "paired with these"),
        )
        if count > 0
    ]
    bias = " The remaining runs may look better than all of them would." if not_finite else ""
    return f"leaves out {lost} of {plural(total, 'run')} ({', '.join(reasons)}).{bias}"


def _compare_failures(baseline: pd.DataFrame, arm: pd.DataFrame) -> CountsTest:
    first, second = ((_failed(each), len(_judged(each))) for each in (baseline, arm))
    return compare_counts(first, second)


def _count_failures(runs: pd.DataFrame) -> dict[str, Any]:
    counts = {str(name): int((runs["outcome"] == name).sum()) for name in FAILURES}
    judged = len(_judged(runs))
    low, high = wilson_interval(_failed(runs), judged) if judged else (math.nan, math.nan)
    unknown = len(runs) - judged
    return {"runs": len(runs), "unknown": unknown, **counts, "ci_low": low, "ci_high": high}


def _judged(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["outcome"] != "unknown"]


def _failed(runs: pd.DataFrame) -> int:
    return int(runs["outcome"].isin(FAILURES).sum())


def _test_fields(test: CorrectedTest | None) -> dict[str, Any]:
    return {
        "p_holm": math.nan if test is None else test.p_holm,
        "shown": test is not None and test.shown,
    }
