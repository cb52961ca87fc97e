"""Effect sizes, intervals and tests for the difference between two arms.

Few runs from an unknown distribution: intervals by the bootstrap, tests by permutation, as Agarwal
et al. 2021 and Colas et al. 2019 recommend for comparisons over seeds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.proportion import proportion_confint

from analysis.series import Floats

LEVEL = 0.05
"""Significance level of the two-sided tests; intervals have the confidence level 1 - LEVEL."""

POWER = 0.8
"""The probability with which the minimum detectable effect would have been detected."""

LEAST_PAIRS = 6
"""With 5 pairs, the smallest possible p is 2 / 2^5 > 0.05: no effect could be significant."""

RESAMPLES = 19_999
"""More than the 2^14 signs of 14 pairs, or the ways to divide 16 runs: those tests are exact."""

_BOOTSTRAP_RESAMPLES = 9_999
_NONE = float("nan")


@dataclass(frozen=True)
class EffectEstimate:
    """The mean of a second arm minus the mean of a first one.

    Attributes:
        paired: Whether runs are compared by seed.
        counts: Number of values in the first and the second arm; of pairs, twice, if paired.
        mean: The difference of the means.
        ci_low: Lower end of the 95% BCa interval (Efron 1987, section 4); NaN if it does not
            exist.
        ci_high: Its upper end.
        p: Of a two-sided permutation test; of signs if paired (Fisher 1935, section 21).
        exact: Whether the test tried all permutations rather than a random sample.
        prob_superiority: The probability that a run of the second arm has the larger value, ties
            counted half, 0 to 1 (Agarwal et al. 2021, section 4.3: "probability of improvement").
        minimum_detectable_effect: The true difference that this many values with this spread
            would have shown with probability 0.8 (by the t-test); NaN with fewer than two values.
    """

    paired: bool
    counts: tuple[int, int]
    mean: float
    ci_low: float
    ci_high: float
    p: float
    exact: bool
    prob_superiority: float
    minimum_detectable_effect: float


def paired_difference(first: Floats, second: Floats) -> EffectEstimate:
    """Compare two arms by seed: values at the same position belong together, all finite."""
    differences = second - first
    count = len(differences)
    ci_low, ci_high = _interval((differences,), np.mean)
    minimum_detectable_effect = _NONE
    if count > 1:
        effect_size = TTestPower().solve_power(nobs=count, alpha=LEVEL, power=POWER)
        minimum_detectable_effect = float(effect_size * differences.std(ddof=1))
    return EffectEstimate(
        paired=True,
        counts=(count, count),
        mean=float(differences.mean()),
        ci_low=ci_low,
        ci_high=ci_high,
        p=_permutation_p((differences,), np.mean, "samples"),
        exact=2**count <= RESAMPLES,
        prob_superiority=_prob_superiority(first, second),
        minimum_detectable_effect=minimum_detectable_effect,
    )


def unpaired_difference(first: Floats, second: Floats) -> EffectEstimate:
    """Compare two arms of independent values, all finite; each arm has at least one."""
    counts = len(first), len(second)
    ci_low, ci_high = _interval((first, second), _difference_of_means)
    minimum_detectable_effect = _NONE
    if min(counts) > 1:
        degrees_of_freedom = sum(counts) - 2
        squares = sum(float(arm.var(ddof=1)) * (len(arm) - 1) for arm in (first, second))
        effect_size = TTestIndPower().solve_power(
            nobs1=counts[0], ratio=counts[1] / counts[0], alpha=LEVEL, power=POWER
        )
        minimum_detectable_effect = float(effect_size * np.sqrt(squares / degrees_of_freedom))
    return EffectEstimate(
        paired=False,
        counts=counts,
        mean=float(second.mean() - first.mean()),
        ci_low=ci_low,
        ci_high=ci_high,
        p=_permutation_p((first, second), _difference_of_means, "independent"),
        exact=math.comb(sum(counts), counts[0]) <= RESAMPLES,
        prob_superiority=_prob_superiority(first, second),
        minimum_detectable_effect=minimum_detectable_effect,
    )


def mean_interval(values: Floats) -> tuple[float, float]:
    """The 95% BCa interval of the mean of finite values; NaN if it does not exist."""
    return _interval((values,), np.mean)


def holm_adjust(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979); NaN are ignored and stay NaN."""
    p = np.asarray(p_values, float)
    finite = np.isfinite(p)
    adjusted = np.full(len(p), _NONE)
    if finite.any():
        adjusted[finite] = multipletests(p[finite], method="holm")[1]
    return [float(value) for value in adjusted]


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """The 95% interval of the proportion count / total (Wilson 1927): 0 of 10 is not never."""
    low, high = proportion_confint(count, total, alpha=LEVEL, method="wilson")
    return float(low), float(high)


def _permutation_p(
    samples: tuple[Floats, ...], statistic: Callable[..., Floats], kind: str
) -> float:
    if min(map(len, samples)) < 2:
        return 1.0  # every permutation is as extreme
    test = stats.permutation_test(
        samples,
        statistic,
        permutation_type=kind,
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def _interval(samples: tuple[Floats, ...], statistic: Callable[..., Floats]) -> tuple[float, float]:
    if min(map(len, samples)) < 2:
        return _NONE, _NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal values have no interval: the result is NaN
        result = stats.bootstrap(
            samples,
            statistic,
            vectorized=True,
            n_resamples=_BOOTSTRAP_RESAMPLES,
            confidence_level=1 - LEVEL,
            method="BCa",
            rng=np.random.default_rng(0),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _difference_of_means(first: Floats, second: Floats, axis: int = -1) -> Floats:
    return np.asarray(second.mean(axis=axis) - first.mean(axis=axis))


def _prob_superiority(first: Floats, second: Floats) -> float:
    statistic = stats.mannwhitneyu(second, first, method="asymptotic").statistic
    return float(statistic / (len(first) * len(second)))
