"""What a number of runs can show, against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.comparison.permutation_tests import NoTest, StudentisedTest, studentised_p
from analysis.comparison.power import (
    detectable_difference,
    detectable_mean,
    min_pairs,
    min_runs,
)
from analysis.comparison.statistics import paired_difference


def test_the_fewest_pairs_that_can_show_anything_grow_with_the_tests() -> None:
    assert [min_pairs(tests) for tests in (1, 2, 4, 7, 160)] == [6, 7, 8, 9, 13]
    assert min_runs(1) == 6
    assert min_runs(40) == 7, "2 of 924 ways to divide 12 runs, times 40, is above 0.05"


def test_an_effect_of_pairs_that_can_be_detected_is_in_four_of_five_experiments() -> None:
    draws = np.random.default_rng(11)
    for pairs, tests in ((6, 1), (8, 4), (10, 4), (14, 7)):
        level = 0.05 / tests
        noise = draws.normal(size=(pairs, 1_000))
        standard = (noise[:, 0] - noise[:, 0].mean()) / noise[:, 0].std(ddof=1)
        effect = detectable_mean(standard, level)
        ps = [
            paired_difference(np.zeros(pairs), column + effect).test.p() for column in noise.T[:400]
        ]
        assert np.mean(np.array(ps) <= level) == pytest.approx(0.8, abs=0.07), (pairs, tests)


def test_an_effect_of_independent_runs_that_can_be_detected_is_in_four_of_five() -> None:
    draws = np.random.default_rng(12)
    for runs, tests in ((6, 1), (8, 4)):
        level = 0.05 / tests
        first, second = draws.normal(size=(2, runs, 400))
        standard = [
            (each[:, 0] - each[:, 0].mean()) / each[:, 0].std(ddof=1) for each in (first, second)
        ]
        test = StudentisedTest(*standard)
        effect = detectable_difference(*standard, test, level)
        shown = studentised_p(first, second + effect) <= level
        assert np.mean(shown) == pytest.approx(0.8, abs=0.07), (runs, tests)


def test_where_nothing_can_be_shown_no_effect_is_large_enough() -> None:
    assert detectable_mean(np.arange(6.0), 0.05 / 4) == math.inf, "6 pairs and four metrics"
    assert math.isnan(detectable_mean(np.ones(1), 0.05))
    few = np.arange(4.0)
    assert detectable_difference(few, few + 1, NoTest(), 0.05) == math.inf
    assert math.isnan(detectable_difference(np.ones(1), few, NoTest(), 0.05))
    six = np.ones(6)
    assert detectable_difference(six, six, StudentisedTest(six, six), 0.05) == 0
