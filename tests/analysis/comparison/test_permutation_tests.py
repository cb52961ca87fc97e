"""Permutation tests and their intervals, against counting by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.comparison.permutation_tests import (
    NoTest,
    PermutationTest,
    SignFlipTest,
    StudentisedTest,
    studentised_p,
)

DRAWS = np.random.default_rng(7)


def test_the_signs_of_pairs_are_counted_one_by_one() -> None:
    differences = DRAWS.normal(0.4, 1, size=7)

    test = SignFlipTest.of(differences)

    means = [np.mean(differences * signs) for signs in itertools.product((-1, 1), repeat=7)]
    at_least = np.abs(means) >= abs(differences.mean()) - 1e-12
    assert test.exact
    assert test.p() == pytest.approx(at_least.mean())
    assert test.min_p == pytest.approx(2 / 2**7)


def test_ties_count_as_being_as_extreme() -> None:
    differences = np.array([0.1, 0.2, -0.3, 0.3, 0.0, 0.1])
    signs = itertools.product((-1, 1), repeat=6)
    sums = [round(float(np.sum(differences * each)), 9) for each in signs]
    expected = np.mean(np.abs(sums) >= round(abs(float(differences.sum())), 9))
    assert SignFlipTest.of(differences).p() == pytest.approx(expected)


@pytest.mark.parametrize(("pairs", "p"), [(5, 0.0625), (6, 0.03125), (10, 2 / 1024)])
def test_a_perfect_order_has_the_smallest_p_there_is(pairs: int, p: float) -> None:
    assert SignFlipTest.of(np.arange(1.0, pairs + 1)).p() == pytest.approx(p)


def test_the_interval_of_six_pairs_is_from_the_smallest_to_the_largest_difference() -> None:
    differences = np.array([3.0, 1.0, 2.5, 9.0, 4.0, 2.0])
    assert SignFlipTest.of(differences).interval(0.05) == (1.0, 9.0)
    assert SignFlipTest.of(differences).interval(0.03) == (-math.inf, math.inf), "least p: 0.03125"


def test_the_ways_to_divide_runs_are_counted_one_by_one() -> None:
    first, second = DRAWS.normal(size=6), DRAWS.normal(1, 3, size=7)

    test = StudentisedTest(first, second)

    values = np.concatenate([first, second])
    extreme = []
    observed = abs(stats.ttest_ind(second, first, equal_var=False).statistic)
    for chosen in itertools.combinations(range(13), 6):
        mask = np.isin(np.arange(13), chosen)
        t = stats.ttest_ind(values[~mask], values[mask], equal_var=False).statistic
        extreme.append(abs(t) >= observed - 1e-9)
    assert test.exact
    assert len(extreme) == 1716
    assert test.p() == pytest.approx(np.mean(extreme))


def examples_of_tests() -> list[PermutationTest]:
    draws = np.random.default_rng(5)
    return [
        *(SignFlipTest.of(draws.normal(0.7, 1, size=pairs)) for pairs in (6, 9, 16)),
        *(SignFlipTest.of(draws.integers(-1, 4, size=pairs).astype(float)) for pairs in (6, 10)),
        *(
            StudentisedTest(draws.normal(size=6), draws.normal(mean, spread, size=8))
            for mean, spread in ((0, 1), (1.2, 1), (1.2, 4))
        ),
        StudentisedTest(draws.normal(size=12), draws.normal(0.8, 1, size=10)),
        StudentisedTest(
            draws.integers(0, 3, size=7).astype(float), draws.integers(1, 4, size=7).astype(float)
        ),
    ]


@pytest.mark.parametrize("level", [0.05, 0.0125])
def test_an_interval_holds_exactly_what_its_test_does_not_reject(level: float) -> None:
    for test in examples_of_tests():
        low, high = test.interval(level)
        assert (low <= 0 <= high) == (test.p() > level)
        if math.isfinite(low):
            width = high - low
            assert test.p(low + 0.001 * width) > level >= test.p(low - 0.001 * width)
            assert test.p(high - 0.001 * width) > level >= test.p(high + 0.001 * width)
        else:
            assert test.min_p > level


def test_unequal_spreads_and_sizes_do_not_make_a_difference() -> None:
    """The plain difference of means is "shown" in 22% of such experiments; Welch's t in 4%."""
    draws = np.random.default_rng(3)
    first, second = draws.normal(size=(20, 300)), draws.normal(0, 5, size=(6, 300))
    assert np.mean(studentised_p(first, second) <= 0.05) < 0.09


def test_more_pairs_than_can_be_counted_are_sampled() -> None:
    differences = DRAWS.normal(0.5, 1, size=20)
    test = SignFlipTest.of(differences)
    assert not test.exact
    assert test.p() == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.02)
    assert test.p() == SignFlipTest.of(differences).p(), "the sample is the same each time"


def test_equal_values_are_no_error() -> None:
    constant = SignFlipTest.of(np.full(6, 0.1))
    assert constant.interval(0.05) == pytest.approx((0.1, 0.1))
    assert SignFlipTest.of(np.zeros(8)).p() == 1
    assert StudentisedTest(np.full(6, 0.3), np.full(6, 0.3)).p() == 1
    apart = StudentisedTest(np.zeros(6), np.ones(6))
    assert apart.p() == pytest.approx(2 / math.comb(12, 6))
    assert apart.interval(0.05) == pytest.approx((1, 1))


def test_too_few_values_reject_nothing() -> None:
    assert NoTest().p(99) == 1
    assert NoTest().interval(0.05) == (-math.inf, math.inf)
