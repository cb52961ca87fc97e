"""Differences between arms, against counting by hand and against simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.comparison.statistics import (
    holm_adjust,
    paired_difference,
    unpaired_difference,
    wilson_interval,
)

DRAWS = np.random.default_rng(7)


def test_the_signs_of_pairs_are_counted_one_by_one() -> None:
    first = DRAWS.normal(size=7)
    second = first + DRAWS.normal(0.4, 1, size=7)

    result = paired_difference(first, second)

    each = second - first
    means = [np.mean(each * signs) for signs in itertools.product((-1, 1), repeat=7)]
    at_least = np.abs(means) >= abs(each.mean()) - 1e-12
    assert result.exact
    assert result.paired
    assert result.counts == (7, 7)
    assert result.mean == pytest.approx(each.mean())
    assert result.p == pytest.approx(at_least.mean())


@pytest.mark.parametrize(("pairs", "p"), [(5, 0.0625), (6, 0.03125), (10, 2 / 1024)])
def test_a_perfect_order_has_the_smallest_p_there_is(pairs: int, p: float) -> None:
    first = DRAWS.normal(size=pairs)
    assert paired_difference(first, first + np.arange(1, pairs + 1)).p == pytest.approx(p)


def test_the_ways_to_divide_runs_are_counted_one_by_one() -> None:
    first, second = DRAWS.normal(size=4), DRAWS.normal(1, 1, size=5)

    result = unpaired_difference(first, second)

    values = np.concatenate([first, second])
    differences = []
    for chosen in itertools.combinations(range(9), 4):
        mask = np.isin(np.arange(9), chosen)
        differences.append(values[~mask].mean() - values[mask].mean())
    upper = np.mean(np.array(differences) >= result.mean - 1e-12)
    lower = np.mean(np.array(differences) <= result.mean + 1e-12)
    assert result.exact
    assert not result.paired
    assert result.p == pytest.approx(min(1, 2 * min(upper, lower)))


def test_more_pairs_than_can_be_counted_are_sampled() -> None:
    first = DRAWS.normal(size=20)
    second = first + DRAWS.normal(0.5, 1, size=20)
    result = paired_difference(first, second)
    assert not result.exact
    assert result.p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)
    assert result == paired_difference(first, second), "the sample is the same each time"


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    draws = np.random.default_rng(3)
    hits = 0
    for _ in range(150):
        first = draws.normal(size=20)
        result = paired_difference(first, first + 1 + draws.normal(size=20))
        assert result.ci_low < result.mean < result.ci_high
        hits += result.ci_low <= 1 <= result.ci_high
    assert 0.86 <= hits / 150 <= 0.99


def test_equal_differences_have_no_interval() -> None:
    result = paired_difference(np.zeros(6), np.ones(6))
    assert result.mean == 1
    assert math.isnan(result.ci_low)
    assert math.isnan(result.ci_high)
    alone = unpaired_difference(np.zeros(1), np.ones(1))
    assert math.isnan(alone.ci_low)
    assert math.isnan(alone.minimum_detectable_effect)


def test_larger_counts_ties_half() -> None:
    assert paired_difference(np.array([0.0, 1.0]), np.array([1.0, 1.0])).prob_superiority == 0.75
    assert unpaired_difference(np.zeros(3), np.ones(4)).prob_superiority == 1
    assert unpaired_difference(np.ones(4), np.zeros(3)).prob_superiority == 0


@pytest.mark.parametrize("paired", [True, False])
def test_a_detectable_difference_is_detected_four_times_in_five(paired: bool) -> None:
    draws = np.random.default_rng(11)
    noise = draws.normal(size=(2, 10))
    difference = paired_difference if paired else unpaired_difference
    result = difference(noise[0], noise[1])
    spread = (
        (noise[1] - noise[0]).std(ddof=1) if paired else math.sqrt(noise.var(axis=1, ddof=1).mean())
    )
    effect = result.minimum_detectable_effect / spread
    if paired:
        p = stats.ttest_1samp(draws.normal(effect, 1, size=(4_000, 10)), 0, axis=1).pvalue
    else:
        samples = draws.normal(size=(2, 4_000, 10))
        p = stats.ttest_ind(samples[0], samples[1] + effect, axis=1).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.8, abs=0.03)


def test_p_values_are_corrected_for_their_number() -> None:
    assert holm_adjust([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    with_gap = holm_adjust([0.01, float("nan"), 0.5])
    assert with_gap[0] == pytest.approx(0.02)
    assert math.isnan(with_gap[1])
    assert holm_adjust([]) == []


def test_none_of_ten_is_not_never() -> None:
    low, high = wilson_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(0.2775, abs=1e-4)
