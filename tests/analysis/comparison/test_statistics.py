"""Differences of two arms, and families of tests."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.comparison.statistics import (
    compare_counts,
    correct_family,
    mean_interval,
    paired_difference,
    unpaired_difference,
    wilson_interval,
)


def test_a_difference_is_of_the_second_arm_from_the_first() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.arange(2.0, 14.0, 2.0)
    for difference, paired in (
        (paired_difference(first, second), True),
        (unpaired_difference(first, second), False),
    ):
        assert difference.paired == paired
        assert difference.counts == (6, 6)
        assert difference.mean == pytest.approx(3.5)
        assert difference.test.exact


def test_fewer_than_six_independent_runs_show_nothing() -> None:
    difference = unpaired_difference(np.zeros(5), np.full(5, 99.0))
    assert difference.test.p() == 1
    assert difference.minimum_detectable_effect(0.05) == math.inf


def test_larger_counts_ties_half() -> None:
    assert paired_difference(np.array([0.0, 1.0]), np.array([1.0, 1.0])).prob_superiority == 0.75
    assert unpaired_difference(np.zeros(3), np.ones(4)).prob_superiority == 1
    assert unpaired_difference(np.ones(4), np.zeros(3)).prob_superiority == 0


@pytest.mark.parametrize("scale", [1.0, 1e-14])
def test_values_that_differ_by_rounding_alone_are_equal(scale: float) -> None:
    first, second = np.full(8, 0.3) * scale, np.full(8, 0.1 + 0.2) * scale
    assert paired_difference(first, second).test.p() == 1
    assert paired_difference(first, second * (1 + 1e-9)).test.p() == 2 / 2**8


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    assert mean_interval(np.full(3, 2.0)) == (2, 2)
    assert all(map(math.isnan, mean_interval(np.ones(1))))


def test_p_values_are_corrected_for_their_number() -> None:
    corrected = correct_family([0.01, 0.04, 0.03])
    assert [test.p_holm for test in corrected] == pytest.approx([0.03, 0.06, 0.06])
    assert [test.shown for test in corrected] == [True, False, False]
    assert [test.level for test in corrected] == pytest.approx([0.05 / 3, 0.025, 0.025])
    with_gap = correct_family([0.01, float("nan"), 0.5])
    assert with_gap[0].p_holm == pytest.approx(0.02)
    assert math.isnan(with_gap[1].p_holm)
    assert not with_gap[1].shown
    assert correct_family([]) == []


def test_a_p_value_is_shown_exactly_if_it_is_at_most_its_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The reference collects garbage at every call: among all that tests import, half a second.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    draws = np.random.default_rng(0)
    for _ in range(20):
        p_values = (draws.uniform(size=5) ** 4).tolist()
        for p, test in zip(p_values, correct_family(p_values), strict=True):
            assert test.shown == (p <= test.level) == (test.p_holm <= 0.05)
        reference = multipletests(p_values, method="holm")[1]
        assert [test.p_holm for test in correct_family(p_values)] == pytest.approx(reference)


def test_counts_are_compared_exactly() -> None:
    test = compare_counts((0, 8), (8, 8))
    assert test.p == pytest.approx(stats.fisher_exact([[0, 8], [8, 0]]).pvalue)
    assert test.p == pytest.approx(0.000155, abs=1e-6)
    assert compare_counts((0, 10), (0, 10)).min_p == 1
    assert compare_counts((1, 10), (2, 10)).min_p > 0.05, "3 of 20 can show nothing"
    assert compare_counts((3, 10), (3, 10)).min_p < 0.05
    assert compare_counts((2, 4), (9, 9)).p == pytest.approx(
        stats.fisher_exact([[2, 2], [9, 0]]).pvalue
    )


def test_none_of_ten_is_not_never() -> None:
    low, high = wilson_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(0.2775, abs=1e-4)
