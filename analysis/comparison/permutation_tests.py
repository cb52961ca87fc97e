"""Two-sided permutation tests of a difference of means, and their confidence intervals.

An interval holds every shift that its own test does not reject: "0 lies outside" and "the test
rejects no difference" are one statement, and never contradict each other.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from scipy import optimize

from analysis.series import Floats

MAX_PERMUTATIONS = 20_000
"""More permutations are sampled at random. Up to 14 pairs (2^14 signs) or 16 runs, the tests are
exact."""

TIE = 1e-12
"""Values that differ by less, relative to the largest, differ only by rounding."""

ROUNDING = 1e-9
"""Relative tolerance within which a p value counts as equal to a level."""
_EVERYWHERE = (-math.inf, math.inf)


class PermutationTest(Protocol):
    """A test of the mean of one arm minus the mean of another.

    Attributes:
        exact: Whether all permutations are tried rather than a random sample.
        min_p: The smallest p value that this many values allow, whatever they are.
    """

    @property
    def exact(self) -> bool: ...

    @property
    def min_p(self) -> float: ...

    def p(self, shift: float = 0.0) -> float:
        """The p value if the true difference were `shift`, 0 to 1."""
        ...

    def interval(self, level: float) -> tuple[float, float]:
        """The shifts whose p is above `level`; infinite ends where no shift can be rejected."""
        ...


@dataclass(frozen=True)
class NoTest:
    """The test for too few values; it never rejects a shift."""

    exact: bool = True
    min_p: float = 1.0

    def p(self, shift: float = 0.0) -> float:
        return 1.0

    def interval(self, level: float) -> tuple[float, float]:
        return _EVERYWHERE


@dataclass(frozen=True, eq=False)
class SignFlipTest:
    """Flips the signs of paired differences (Fisher 1935, section 21).

    The sum with the signs of a subset flipped is at least the observed sum exactly if the mean of
    the subset is at most the shift. So the ends of the interval are means of subsets, the k-th
    from either end ("typical values", Hartigan 1969).

    Attributes:
        subset_means: The mean of each subset of the differences except the empty one, increasing.
        exact: Whether they are all subsets rather than a random sample.
    """

    subset_means: Floats
    exact: bool

    @classmethod
    def of(cls, differences: Floats) -> SignFlipTest:
        """Make the test of at least one finite difference."""
        subsets = subsets_of(len(differences))
        means = np.sort(subsets @ differences / subsets.sum(axis=1))
        return cls(means, exact=2 ** len(differences) <= MAX_PERMUTATIONS)

    @property
    def min_p(self) -> float:
        return min(1.0, 2 / self._permutations)

    @property
    def _permutations(self) -> int:
        return len(self.subset_means) + 1

    @property
    def _tie(self) -> float:
        return TIE * float(np.abs(self.subset_means[[0, -1]]).max())

    def p(self, shift: float = 0.0) -> float:
        at_most = np.searchsorted(self.subset_means, shift + self._tie, side="right")
        less = np.searchsorted(self.subset_means, shift - self._tie, side="left")
        at_least = len(self.subset_means) - less
        return min(1.0, 2 * (1 + int(min(at_most, at_least))) / self._permutations)

    def interval(self, level: float) -> tuple[float, float]:
        rank = math.floor(level * self._permutations / 2 + ROUNDING)
        if rank < 1:
            return _EVERYWHERE
        low, high = float(self.subset_means[rank - 1]), float(self.subset_means[-rank])
        return (0.0 if abs(low) <= self._tie else low), (0.0 if abs(high) <= self._tie else high)


@dataclass(frozen=True, eq=False)
class StudentisedTest:
    """Reassigns the values of two independent arms at random, and compares Welch's t.

    Exact if the arms have one distribution apart from the shift. Unlike that of the plain
    difference, the test of t also holds for many runs of unequal spread (Janssen 1997; Chung and
    Romano 2013).

    Attributes:
        first: Values of the first arm, at least two.
        second: Values of the second arm, at least two.
        exact: Whether all divisions are tried rather than a random sample.
    """

    first: Floats
    second: Floats

    @property
    def exact(self) -> bool:
        return math.comb(len(self.first) + len(self.second), len(self.first)) <= MAX_PERMUTATIONS

    @property
    def min_p(self) -> float:
        # With arms of one size, the division with the arms swapped has the same |t|.
        twins = 2 if self.exact and len(self.first) == len(self.second) else 1
        return twins / len(_divisions(len(self.first), len(self.second)))

    def p(self, shift: float = 0.0) -> float:
        return float(studentised_p(self.first[:, None], self.second[:, None] - shift)[0])

    def interval(self, level: float) -> tuple[float, float]:
        if self.min_p > level * (1 + ROUNDING):
            return _EVERYWHERE
        return self._end(-1, level), self._end(1, level)

    def _end(self, side: int, level: float) -> float:
        """The nearest shift below (side -1) or above (1) the mean that is rejected."""

        def accepted(shift: float) -> float:
            return self.p(shift) - level * (1 + ROUNDING)

        mean = float(self.second.mean() - self.first.mean())
        spread = max(*map(np.ptp, (self.first, self.second)), TIE * max(1.0, abs(mean)))
        has_zero = side * mean < 0
        inside, outside = mean, 0.0
        if not has_zero or accepted(0.0) > 0:
            # p is not monotonic, so the search starts beyond 0 if 0 is accepted.
            inside, step = 0.0 if has_zero else mean, spread / 4
            outside = inside + side * step
            while accepted(outside) > 0:
                step *= 2
                inside, outside = outside, outside + side * step
        return float(optimize.bisect(accepted, inside, outside, xtol=ROUNDING * spread, rtol=1e-12))


def studentised_p(first: Floats, second: Floats) -> Floats:
    """The p values of many comparisons of equal size, of no difference each.

    Args:
        first: Values of the first arms, (first arm's size, comparisons).
        second: Values of the second arms, (second arm's size, comparisons).
    """
    values = np.concatenate((first, second))
    rounding = TIE * np.maximum(1.0, np.abs(values).max(axis=0))
    values = values - values.mean(axis=0)  # squares of large numbers would lose digits
    scale = np.abs(values).max(axis=0)
    t = _welch_t(_divisions(len(first), len(second)), values / np.maximum(scale, rounding))
    p: Floats = np.mean(t >= t[0] * (1 - ROUNDING), axis=0)
    return np.where(scale <= rounding, 1.0, p)


def _welch_t(divisions: Floats, values: Floats) -> Floats:
    """The absolute Welch t of each division, (P, C); infinite if neither group has any spread.

    divisions: (P, N), 1 where a value is in the second group. values: (N, C), around 0.
    """
    second = divisions[0].sum()
    first = len(values) - second
    sums, squares = divisions @ values, divisions @ values**2
    other_sums, other_squares = values.sum(axis=0) - sums, (values**2).sum(axis=0) - squares
    variance = np.maximum(squares - sums**2 / second, 0) / (second - 1) / second
    variance += np.maximum(other_squares - other_sums**2 / first, 0) / (first - 1) / first
    difference = np.abs(sums / second - other_sums / first)
    variance[variance < TIE] = 0
    difference[difference < TIE] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        t: Floats = np.nan_to_num(difference / np.sqrt(variance), nan=0.0, posinf=np.inf)
    return t


@lru_cache(maxsize=32)
def _divisions(first: int, second: int) -> Floats:
    """Ways to choose the second group of `second` among all values, (P, N); the true one first."""
    total = first + second
    if math.comb(total, second) <= MAX_PERMUTATIONS:
        chosen = list(itertools.combinations(range(total - 1, -1, -1), second))
        divisions = np.zeros((len(chosen), total))
        np.put_along_axis(divisions, np.asarray(chosen), 1, axis=1)
        return divisions
    draws = np.random.default_rng(0)
    observed = np.concatenate((np.zeros(first), np.ones(second)))
    shuffled = draws.permuted(np.tile(observed, (MAX_PERMUTATIONS - 1, 1)), axis=1)
    return np.concatenate((observed[None], shuffled))


@lru_cache(maxsize=32)
def subsets_of(count: int) -> Floats:
    """All subsets of `count` values except the empty one, or a random sample of them.

    Returns:
        (P, count), 1 for members; one row fewer than there are permutations of signs.
    """
    if 2**count <= MAX_PERMUTATIONS:
        return ((np.arange(1, 2**count)[:, None] >> np.arange(count)) & 1).astype(np.float64)
    draws = np.random.default_rng(0)
    subsets = draws.integers(0, 2, size=(MAX_PERMUTATIONS - 1, count)).astype(np.float64)
    subsets[subsets.sum(axis=1) == 0] = 1
    return subsets
