"""Order statistics over runs, and moving averages."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.bands import argmin_step, band_of, distance, moving_average
from analysis.series import Series


def test_quartiles_are_those_of_numpy_over_what_is_finite() -> None:
    values = np.random.default_rng(0).normal(size=(7, 50))
    values[2, 10:] = np.nan
    values[3, 20:30] = np.inf
    values[:, 40] = np.nan

    band = band_of([Series(np.arange(50), row) for row in values])

    finite = np.where(np.isfinite(values), values, np.nan)
    filled = np.arange(50) != 40
    for fraction, drawn in ((0.25, band.lower_quartile), (0.75, band.upper_quartile)):
        expected = np.nanquantile(finite[:, filled], fraction, axis=0)
        np.testing.assert_allclose(drawn[filled], expected)
    assert band.runs[[0, 15, 25, 40]].tolist() == [7, 6, 5, 0]
    assert np.isnan(band.median[40])


def test_a_window_with_a_gap_is_no_mean() -> None:
    values = np.arange(30.0)
    values[15] = np.inf

    series = moving_average(Series(np.arange(1, 31), values))

    assert series.steps.tolist() == list(range(6, 27))
    assert series.values[0] == pytest.approx(4.5)
    assert np.flatnonzero(np.isnan(series.values)).tolist() == list(range(6, 16))


def test_curves_that_cross_are_nearest_where_they_do() -> None:
    """The signed difference is smallest at the end, where the second curve is far above."""
    epochs = np.arange(1, 41)
    first, second = Series(epochs, 1 - epochs / 40), Series(epochs, epochs / 40)
    assert argmin_step(moving_average(distance(first, second))) in (20, 21)
