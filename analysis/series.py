"""Series of a metric, and their downsampling for figures, which keeps every spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from tsdownsample import MinMaxDownsampler

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

POINTS = 4_000
"""Points of a downsampled series: two per pixel across a printed page."""


@dataclass(frozen=True, eq=False)
class Series:
    """One metric of one run.

    Attributes:
        steps: Increasing, (N,).
        values: (N,), NaN and infinities included.
    """

    steps: Integers
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)


def series_of(steps: pd.DataFrame, path: str) -> Series:
    """A metric's column of a step table, `tracking.tables.step_table`; empty if it has none."""
    if path not in steps:
        return Series(np.empty(0, np.int64), np.empty(0))
    return Series(
        steps["step"].to_numpy(np.int64), np.ascontiguousarray(steps[path], dtype=np.float64)
    )


def downsample(series: Series, points: int = POINTS) -> Series:
    """At most about `points` points of the series, including the extremes of every stretch.

    Infinities become NaN, and each stretch without a finite value keeps one NaN, so that no line
    bridges it. The first and the last step are kept.

    points: Even.
    """
    finite = np.isfinite(series.values)
    values = np.where(finite, series.values, np.nan)
    if len(series) <= points:
        return Series(series.steps, values)
    kept = np.flatnonzero(finite)
    if len(kept) > points:
        kept = kept[MinMaxDownsampler().downsample(values[kept], n_out=points)]
    breaks = _starts(~finite)
    chosen = np.unique(np.concatenate(([0], kept, breaks, [len(series) - 1])))
    return Series(series.steps[chosen], values[chosen])


def stretches(steps: Integers, gap: int) -> list[tuple[int, int]]:
    """First and last step of each contiguous stretch of increasing `steps`.

    gap: How many steps may be missing within a stretch.
    """
    if len(steps) == 0:
        return []
    ends = np.flatnonzero(np.diff(steps) > gap + 1)
    firsts = steps[np.concatenate(([0], ends + 1))]
    lasts = steps[np.concatenate((ends, [len(steps) - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _starts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The indices at which runs of True begin."""
    return np.flatnonzero(mask & ~np.concatenate(([False], mask[:-1])))
