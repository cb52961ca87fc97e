"""The median and the spread over runs at each step, and moving averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.series import POINTS, Floats, Integers, Series, downsample

WINDOW = 10
"""Epochs over which a distance is averaged before its minimum is located."""


@dataclass(frozen=True, eq=False)
class Band:
    """Order statistics over runs at each step; NaN where no run has a finite value.

    Attributes:
        steps: Increasing, (N,), as all arrays here.
        runs: How many runs have a finite value.
        minimum: Over these runs.
        lower_quartile: Quartiles are interpolated linearly, as NumPy does.
        median: Over these runs.
        upper_quartile: Interpolated as the lower one.
        maximum: Over these runs.
    """

    steps: Integers
    runs: Integers
    minimum: Floats
    lower_quartile: Floats
    median: Floats
    upper_quartile: Floats
    maximum: Floats


def band_of(series: Sequence[Series]) -> Band:
    """The band over runs of any lengths; each step counts the runs with a finite value there."""
    steps, values = _aligned(series)
    values = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)
    runs = np.count_nonzero(~np.isnan(values), axis=0)
    minimum, lower, median, upper, maximum = (
        _quantile(values, runs, fraction) for fraction in (0, 0.25, 0.5, 0.75, 1)
    )
    return Band(steps, runs.astype(np.int64), minimum, lower, median, upper, maximum)


def thin_band(band: Band, points: int = POINTS) -> Band:
    """At most about 3 x `points` points of the band, including the extremes of each stretch."""
    if len(band.steps) <= points:
        return band
    edges = (band.minimum, band.median, band.maximum)
    kept = np.unique(
        np.concatenate([downsample(Series(band.steps, edge), points).steps for edge in edges])
    )
    index = np.searchsorted(band.steps, kept)
    return Band(
        kept,
        band.runs[index],
        band.minimum[index],
        band.lower_quartile[index],
        band.median[index],
        band.upper_quartile[index],
        band.maximum[index],
    )


def distance(first: Series, second: Series) -> Series:
    """|first - second|, at the steps that both have."""
    steps, in_first, in_second = np.intersect1d(first.steps, second.steps, return_indices=True)
    return Series(steps, np.abs(first.values[in_first] - second.values[in_second]))


def moving_average(series: Series, window: int = WINDOW) -> Series:
    """The mean of every `window` successive values, at the step in their middle (rounded up).

    Only full windows count: shorter ones at the ends would be noisier, and so have the smallest
    value more often. A window with a value that is not finite is NaN.
    """
    if len(series) < window:
        return Series(np.empty(0, np.int64), np.empty(0))
    finite = np.where(np.isfinite(series.values), series.values, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(finite, window)
    middles = series.steps[window // 2 : window // 2 + len(windows)]
    return Series(middles, windows.mean(axis=1))


def argmin_step(series: Series) -> int | None:
    """The first step at which the series is smallest; None if it has no finite value."""
    if not np.isfinite(series.values).any():
        return None
    return int(series.steps[np.nanargmin(series.values)])


def _aligned(series: Sequence[Series]) -> tuple[Integers, npt.NDArray[np.float64]]:
    """The steps of all runs, and (runs, steps) values with NaN where a run has no such step."""
    if not series:
        return np.empty(0, np.int64), np.empty((0, 0))
    first_steps = series[0].steps
    if all(np.array_equal(run.steps, first_steps) for run in series):
        return first_steps, np.stack([run.values for run in series])
    steps = np.unique(np.concatenate([run.steps for run in series]))
    values = np.full((len(series), len(steps)), np.nan)
    for row, run in zip(values, series, strict=True):
        row[np.searchsorted(steps, run.steps)] = run.values
    return steps, values


def _quantile(ordered: Floats, runs: npt.NDArray[np.intp], fraction: float) -> Floats:
    """A quantile of each column; NumPy's own would need one call per column because of NaN.

    ordered: (runs, steps), each column sorted, NaN last. runs: Finite values per column.
    """
    if len(ordered) == 0:
        return np.empty(ordered.shape[1])
    position = np.maximum(runs - 1, 0) * fraction
    below = np.floor(position).astype(np.intp)
    above = np.ceil(position).astype(np.intp)
    columns = np.arange(ordered.shape[1])
    low, high = ordered[below, columns], ordered[above, columns]
    quantile: Floats = low + (high - low) * (position - below)
    return quantile
