"""Statistical power: the fewest runs that can show a difference, and the detectable effect."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from statsmodels.stats.power import TTestPower

from analysis.comparison.permutation_tests import (
    MAX_PERMUTATIONS,
    ROUNDING,
    PermutationTest,
    subsets_of,
)
from analysis.series import Floats

LEVEL = 0.05
"""The chance of at least one false positive among all tests of a comparison."""

POWER = 0.8
"""The probability of showing a difference as large as the detectable effect."""

MIN_RUNS = 6
"""Runs with different seeds per arm; with fewer, the spread of an arm cannot be estimated."""

_MAX_SIMULATED_PAIRS = 12
_SIMULATIONS = 2_000


def min_pairs(tests: int) -> int:
    """The fewest pairs with which one of this many tests can show a difference.

    The smallest p of n pairs is 2 / 2^n, and Holm's first step asks for `LEVEL` / tests.
    """
    return next(n for n in itertools.count(1) if tests * 2 / 2**n <= LEVEL * (1 + ROUNDING))


def min_runs(tests: int) -> int:
    """The fewest runs per arm, with different seeds, for one of this many tests to show one."""
    can = (n for n in itertools.count(MIN_RUNS) if tests * 2 / math.comb(2 * n, n) <= LEVEL)
    return next(can)


def detectable_mean(differences: Floats, level: float) -> float:
    """The mean of paired differences that a sign-flip test would show with probability `POWER`.

    For a normal distribution with the spread of these differences.

    Args:
        differences: At least one finite value.
        level: The significance level of the test.

    Returns:
        NaN for one value, infinity if no mean can be shown at this level.
    """
    count = len(differences)
    if count < 2:
        return math.nan
    permutations = min(2**count, MAX_PERMUTATIONS)
    rank = math.floor(level * permutations / 2 + ROUNDING)
    if rank < 1:
        return math.inf
    return _standard_mean(count, rank, 2 * rank / permutations) * float(differences.std(ddof=1))


def detectable_difference(
    first: Floats, second: Floats, test: PermutationTest, level: float
) -> float:
    """The difference of two independent arms that would be shown with probability `POWER`.

    By Welch's t test at the level that the permutation test attains, for normal distributions with
    the spreads of these arms.

    Args:
        first: Finite values of the first arm.
        second: Finite values of the second arm.
        test: The permutation test of these arms.
        level: The significance level of the test.

    Returns:
        NaN for an arm of one value, infinity if no difference can be shown at this level.
    """
    counts = np.array([len(first), len(second)])
    if counts.min() < 2:
        return math.nan
    attained = math.floor(level / test.min_p + ROUNDING) * test.min_p
    if attained == 0:
        return math.inf
    variances = np.array([first.var(ddof=1), second.var(ddof=1)]) / counts
    if not variances.any():
        return 0.0
    freedom = variances.sum() ** 2 / (variances**2 / (counts - 1)).sum()
    effect = TTestPower().solve_power(nobs=freedom + 1, alpha=attained, power=POWER)
    return float(effect * math.sqrt(freedom + 1) * math.sqrt(variances.sum()))


@lru_cache(maxsize=256)
def _standard_mean(count: int, rank: int, attained: float) -> float:
    """The detectable mean of differences with a standard deviation of 1.

    With few pairs the test is much coarser than a t test, so its power is simulated. Adding a mean
    to all differences shifts the low end of the interval by the same amount.
    """
    if count > _MAX_SIMULATED_PAIRS:
        return float(TTestPower().solve_power(nobs=count, alpha=attained, power=POWER))
    differences = np.random.default_rng(0).normal(size=(_SIMULATIONS, count))
    subsets = subsets_of(count)
    means = differences @ (subsets / subsets.sum(axis=1, keepdims=True)).T
    low_ends = np.partition(means, rank - 1, axis=1)[:, rank - 1]
    return float(np.quantile(-low_ends, POWER))
