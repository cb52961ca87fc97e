"""Thinning keeps what a reader must see, and stretches are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.series import Series, downsample, series_of, stretches


def noise(length: int) -> Series:
    values = np.random.default_rng(0).normal(size=length)
    return Series(np.arange(1, length + 1), values)


def test_a_short_series_stays_as_it_is() -> None:
    series = noise(100)

    thinned = downsample(series, 100)

    np.testing.assert_array_equal(thinned.steps, series.steps)
    np.testing.assert_array_equal(thinned.values, series.values)


@pytest.mark.parametrize("spike", [0, 1, 49_999, 99_999])
@pytest.mark.parametrize("height", [50.0, -50.0])
def test_every_spike_survives(spike: int, height: float) -> None:
    series = noise(100_000)
    series.values[spike] = height

    thinned = downsample(series, 4_000)

    assert len(thinned) <= 4_002
    assert thinned.values[thinned.steps == spike + 1] == height
    assert (thinned.steps[0], thinned.steps[-1]) == (1, 100_000)
    assert (np.diff(thinned.steps) > 0).all()


def test_the_extremes_of_every_stretch_survive() -> None:
    series = noise(100_000)

    thinned = downsample(series, 2_000)

    for part in np.split(np.arange(100_000), 100):
        kept = thinned.values[np.isin(thinned.steps, series.steps[part])]
        assert kept.max() > np.quantile(series.values[part], 0.99)
        assert kept.min() < np.quantile(series.values[part], 0.01)


@pytest.mark.parametrize("length", [1_000, 100_000])
@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_no_line_bridges_a_hole(length: int, hole: float) -> None:
    series = noise(length)
    series.values[500:600] = hole
    series.values[700] = hole

    thinned = downsample(series, 4_000)

    for first, last in ((501, 600), (701, 701)):
        inside = (thinned.steps >= first) & (thinned.steps <= last)
        assert inside.any()
        assert np.isnan(thinned.values[inside]).all()
    assert not np.isinf(thinned.values).any()


@pytest.mark.parametrize("length", [0, 1, 10_000])
def test_a_series_without_a_finite_value_is_thinned_too(length: int) -> None:
    thinned = downsample(Series(np.arange(length), np.full(length, np.nan)), 100)

    assert len(thinned) <= 2
    assert np.isnan(thinned.values).all()


def test_stretches_join_across_a_gap() -> None:
    steps = np.array([3, 4, 5, 8, 20])

    assert stretches(steps, gap=0) == [(3, 5), (8, 8), (20, 20)]
    assert stretches(steps, gap=1) == [(3, 5), (8, 8), (20, 20)]
    assert stretches(steps, gap=2) == [(3, 8), (20, 20)]
    assert stretches(steps[:0], gap=2) == []


def test_a_metric_that_a_table_lacks_is_an_empty_series() -> None:
    table = pd.DataFrame({"step": [1, 2], "loss": [0.5, np.inf]})

    assert series_of(table, "loss").values.tolist() == [0.5, np.inf]
    assert len(series_of(table, "score")) == 0
