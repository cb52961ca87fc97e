"""How much two arms differ, and how much of it chance could have done.

Few runs of an unknown law: intervals by the bootstrap, tests by permutation, as Agarwal et al.
2021 and Colas et al. 2019 advise for comparisons over seeds.
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
"""Of tests, two-sided; intervals are of 1 less this."""

POWER = 0.8
"""With which a detectable difference would have been detected."""

LEAST_PAIRS = 6
"""With 5 pairs even a perfect order has p = 2 / 2^5 > 0.05: nothing could be shown."""

RESAMPLES = 19_999
"""More than the 2^14 signs of 14 pairs, or the ways to divide 16 runs: those tests are exact."""

_NONE = float("nan")


@dataclass(frozen=True)
class EffectEstimate:
    """The mean of a second arm less that of a first one.

    paired: by seed. counts: values of the first arm and of the second; pairs where paired.
    low, high: the 95% BCa interval (Efron 1987, section 4); NaN where it cannot be had.
    p: of a two-sided permutation test, of signs where paired (Fisher 1935, section 21).
    exact: whether all permutations were tried, or a random sample of them.
    larger: the probability that a run of the second arm has the larger value, ties counted
        half (Agarwal et al. 2021, section 4.3, who call it that of improvement).
    detectable: the true difference that so many values, with the spread that they have, would
        have shown with probability 0.8 (by the t-test); NaN with fewer than two values.
    """

    paired: bool
    counts: tuple[int, int]
    mean: float
    low: float
    high: float
    p: float
    exact: bool
    larger: float
    detectable: float


def paired_difference(first: Floats, second: Floats) -> EffectEstimate:
    """Of finite values of which those at the same place belong together; one pair at least."""
    each = second - first
    count = len(each)
    low, high = _interval((each,), np.mean)
    detectable = _NONE
    if count > 1:
        sizes = TTestPower().solve_power(nobs=count, alpha=LEVEL, power=POWER)
        detectable = float(sizes * each.std(ddof=1))
    return EffectEstimate(
        paired=True,
        counts=(count, count),
        mean=float(each.mean()),
        low=low,
        high=high,
        p=_permutation_p((each,), np.mean, "samples"),
        exact=2**count <= RESAMPLES,
        larger=_larger(first, second),
        detectable=detectable,
    )


def unpaired_difference(first: Floats, second: Floats) -> EffectEstimate:
    """Of finite values that do not belong together; one of each arm at least."""
    counts = len(first), len(second)
    low, high = _interval((first, second), _difference_of_means)
    detectable = _NONE
    if min(counts) > 1:
        freedom = sum(counts) - 2
        squares = sum(float(each.var(ddof=1)) * (len(each) - 1) for each in (first, second))
        sizes = TTestIndPower().solve_power(
            nobs1=counts[0], ratio=counts[1] / counts[0], alpha=LEVEL, power=POWER
        )
        detectable = float(sizes * np.sqrt(squares / freedom))
    return EffectEstimate(
        paired=False,
        counts=counts,
        mean=float(second.mean() - first.mean()),
        low=low,
        high=high,
        p=_permutation_p((first, second), _difference_of_means, "independent"),
        exact=math.comb(sum(counts), counts[0]) <= RESAMPLES,
        larger=_larger(first, second),
        detectable=detectable,
    )


def mean_interval(values: Floats) -> tuple[float, float]:
    """The 95% BCa interval of the mean of finite values; NaN where it cannot be had."""
    return _interval((values,), np.mean)


def holm_adjust(p_values: Sequence[float]) -> list[float]:
    """p values that hold for all of them together (Holm 1979); NaN stay out of it."""
    p = np.asarray(p_values, float)
    known = np.isfinite(p)
    result = np.full(len(p), _NONE)
    if known.any():
        result[known] = multipletests(p[known], method="holm")[1]
    return [float(each) for each in result]


def wilson_interval(count: int, of: int) -> tuple[float, float]:
    """The 95% interval of a proportion (Wilson 1927): 0 of 10 is not never."""
    low, high = proportion_confint(count, of, alpha=LEVEL, method="wilson")
    return float(low), float(high)


def _permutation_p(
    samples: tuple[Floats, ...], statistic: Callable[..., Floats], kind: str
) -> float:
    if min(len(each) for each in samples) < 2:
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
    if min(len(each) for each in samples) < 2:
        return _NONE, _NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal values have no interval: NaN says so
        result = stats.bootstrap(
            samples,
            statistic,
            vectorized=True,
            n_resamples=9_999,
            confidence_level=1 - LEVEL,
            method="BCa",
            rng=np.random.default_rng(0),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _difference_of_means(first: Floats, second: Floats, axis: int = -1) -> Floats:
    return np.asarray(second.mean(axis=axis) - first.mean(axis=axis))


def _larger(first: Floats, second: Floats) -> float:
    statistic = stats.mannwhitneyu(second, first, method="asymptotic").statistic
    return float(statistic / (len(first) * len(second)))
