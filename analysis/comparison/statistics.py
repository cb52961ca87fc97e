"""Differences between two arms, and which of them are significant in a family of tests.

Few runs from an unknown distribution: tests and intervals by permutation, as Colas et al. 2019
(section 4) recommend for comparisons over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from analysis.comparison.permutation_tests import (
    ROUNDING,
    TIE,
    NoTest,
    PermutationTest,
    SignFlipTest,
    StudentisedTest,
)
from analysis.comparison.power import LEVEL, MIN_RUNS, detectable_difference, detectable_mean
from analysis.series import Floats


@dataclass(frozen=True, eq=False)
class ArmDifference:
    """The mean of a second arm minus the mean of a first one.

    Attributes:
        paired: Whether runs are compared by seed.
        counts: Number of values in the first and the second arm; of pairs, twice, if paired.
        mean: The difference of the means.
        test: Its permutation test; of signs if paired, else of Welch's t.
        prob_superiority: The probability that a run of the second arm has the larger value, ties
            counted half, 0 to 1 (Agarwal et al. 2021, section 4.3: "probability of improvement").
        samples: The differences of pairs, or the values of the first and the second arm.
    """

    paired: bool
    counts: tuple[int, int]
    mean: float
    test: PermutationTest
    prob_superiority: float
    samples: tuple[Floats, ...]

    def minimum_detectable_effect(self, level: float) -> float:
        """The true difference that this many values with this spread would likely show.

        With a probability of `power.POWER`; infinite if none could be shown at this level, NaN if
        the spread is not known.
        """
        if self.paired:
            return detectable_mean(self.samples[0], level)
        first, second = self.samples
        return detectable_difference(first, second, self.test, level)


def paired_difference(first: Floats, second: Floats) -> ArmDifference:
    """Compare two arms by seed: values at the same position belong together, all finite."""
    differences = second - first
    # Means of equal values over different numbers of steps differ by rounding alone.
    differences[np.abs(differences) <= TIE * np.maximum(np.abs(first), np.abs(second))] = 0
    return ArmDifference(
        paired=True,
        counts=(len(first), len(second)),
        mean=float(differences.mean()),
        test=SignFlipTest.of(differences),
        prob_superiority=_prob_superiority(first, second),
        samples=(differences,),
    )


def unpaired_difference(first: Floats, second: Floats) -> ArmDifference:
    """Compare two arms of independent values, all finite; each arm has at least one."""
    enough = min(len(first), len(second)) >= MIN_RUNS
    return ArmDifference(
        paired=False,
        counts=(len(first), len(second)),
        mean=float(second.mean() - first.mean()),
        test=StudentisedTest(first, second) if enough else NoTest(),
        prob_superiority=_prob_superiority(first, second),
        samples=(first, second),
    )


def mean_interval(values: Floats) -> tuple[float, float]:
    """Student's 95% interval of the mean of finite values; NaN for fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    half = float(stats.t.ppf(1 - LEVEL / 2, len(values) - 1) * stats.sem(values))
    return float(values.mean()) - half, float(values.mean()) + half


@dataclass(frozen=True)
class CorrectedTest:
    """One test of a family, by Holm's step-down procedure (Holm 1979).

    Attributes:
        p_holm: The p value corrected for the family; NaN if there is no p value.
        level: What p is compared with: `LEVEL` divided by the number of tests that were not yet
            shown at this step. An interval at this level excludes 0 exactly if `shown`.
        shown: Whether the difference is significant.
    """

    p_holm: float
    level: float
    shown: bool


def correct_family(p_values: Sequence[float]) -> list[CorrectedTest]:
    """Correct p values so that the chance of any false positive is at most `LEVEL`.

    A NaN does not count as a test.
    """
    p = np.asarray(p_values, float)
    tests = np.flatnonzero(np.isfinite(p))
    corrected = [CorrectedTest(math.nan, LEVEL, shown=False)] * len(p)
    adjusted, level, going_on = 0.0, LEVEL, True
    # statsmodels' multipletests gives no levels, and collects garbage at every call.
    for step, index in enumerate(tests[np.argsort(p[tests], kind="stable")]):
        left = len(tests) - step
        adjusted = min(1.0, max(adjusted, float(p[index]) * left))
        if going_on:
            level = LEVEL / left
            going_on = bool(p[index] <= level * (1 + ROUNDING))
        corrected[index] = CorrectedTest(adjusted, level, going_on)
    return corrected


@dataclass(frozen=True)
class CountsTest:
    """Fisher's exact test of two counts.

    Attributes:
        p: Two-sided.
        min_p: The smallest p that these totals allow, whatever their division. A test whose
            `min_p` is above the level need not be in the family (Tarone 1990).
    """

    p: float
    min_p: float


def compare_counts(first: tuple[int, int], second: tuple[int, int]) -> CountsTest:
    """Compare two shares. first, second: The count and the total of each arm."""

    def fisher(count: int) -> float:
        table = [[count, first[1] - count], [both - count, second[1] - both + count]]
        return float(stats.fisher_exact(table).pvalue)

    both = first[0] + second[0]
    fewest, most = max(0, both - second[1]), min(first[1], both)
    return CountsTest(fisher(first[0]), min(fisher(fewest), fisher(most)))


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """The 95% interval of the proportion count / total (Wilson 1927): 0 of 10 is not never."""
    low, high = proportion_confint(count, total, alpha=LEVEL, method="wilson")
    return float(low), float(high)


def _prob_superiority(first: Floats, second: Floats) -> float:
    statistic = stats.mannwhitneyu(second, first, method="asymptotic").statistic
    return float(statistic / (len(first) * len(second)))
