"""Curves of one run over its steps: single batches, epoch means, values that are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from analysis.plots import style
from analysis.plots.style import annotate_empty, legend_above
from analysis.series import Series, downsample, series_of, stretches
from tracking.events import BATCH, EPOCH
from tracking.wording import plural


@dataclass(frozen=True)
class Curve:
    """A metric to draw.

    Attributes:
        metric: Its name under `training/batch` and `training/epoch`.
        name: In the legend.
        colour: `#rrggbb`.
    """

    metric: str
    name: str
    colour: str


def draw_metrics(axes: Axes, steps: pd.DataFrame, title: str, curves: Sequence[Curve]) -> None:
    """Draw metrics: batches thin and pale, epoch means on top, non-finite stretches hatched.

    Args:
        axes: Where to draw.
        steps: The run's step table, `tracking.tables.step_table`.
        title: The panel's title.
        curves: The metrics.
    """
    axes.set_title(title)
    batches = [_batches(steps, curve.metric) for curve in curves]
    for curve, series in zip(curves, batches, strict=True):
        means = _epoch_means(steps, curve.metric)
        _draw_batches(axes, series, curve, pale=len(means) > 0)
        if len(means):
            _draw_means(axes, means, curve)
    if not any(np.isfinite(series.values).any() for series in batches):
        annotate_empty(axes)
    _mark_nonfinite(axes, batches)
    legend_above(axes)


def line_note(steps: pd.DataFrame) -> str:
    """A sentence that explains the lines of a panel."""
    if _ends_of_epochs(steps).empty:
        return "The lines are single batches."
    return "Pale lines: single batches; strong lines: epoch means."


def _batches(steps: pd.DataFrame, metric: str) -> Series:
    # Step 0 comes before the first batch: it can have an image, but no loss.
    return series_of(steps[steps["step"] > 0], f"{BATCH}/{metric}")


def _epoch_means(steps: pd.DataFrame, metric: str) -> Series:
    return series_of(_ends_of_epochs(steps), f"{EPOCH}/{metric}")


def _ends_of_epochs(steps: pd.DataFrame) -> pd.DataFrame:
    number = f"{EPOCH}/number"
    return steps[steps[number].notna()] if number in steps else steps.iloc[:0]


def _draw_batches(axes: Axes, series: Series, curve: Curve, pale: bool) -> None:
    thinned = downsample(series)
    axes.plot(
        thinned.steps,
        thinned.values,
        color=curve.colour,
        alpha=0.35 if pale else 0.9,
        linewidth=0.6,
        marker="o" if len(series) == 1 else "",
        label="" if pale else curve.name,
        gid=f"batch/{curve.metric}",
        zorder=2,
    )


def _draw_means(axes: Axes, means: Series, curve: Curve) -> None:
    thinned = downsample(means)
    axes.plot(
        thinned.steps,
        thinned.values,
        color=curve.colour,
        linewidth=1.6,
        marker="o" if len(means) <= 40 else "",
        markersize=3,
        path_effects=[patheffects.withStroke(linewidth=2.6, foreground="white", alpha=0.6)],
        label=curve.name,
        gid=f"epoch/{curve.metric}",
        zorder=3,
    )


def _mark_nonfinite(axes: Axes, batches: Sequence[Series]) -> None:
    """Hatch the stretches in which a series is not finite, and count their steps."""
    present = [series for series in batches if len(series)]
    if not present:
        return
    steps = present[0].steps
    nonfinite = np.any([~np.isfinite(series.values) for series in present], axis=0)
    spans = stretches(steps[nonfinite], gap=len(steps) // 200)
    if not spans:
        return
    count = int(np.count_nonzero(nonfinite))
    label = f"not finite: {plural(count, 'step')}, from {spans[0][0]:,}"
    for first, last in spans:
        axes.axvspan(
            first - 0.5,
            last + 0.5,
            facecolor="#e8e8e8",
            edgecolor=style.REFERENCE,
            hatch="////",
            linewidth=0.6,
            label=label,
            zorder=1,
        )
        label = ""


def finish_time_axis(axes: Axes, steps: pd.DataFrame) -> None:
    """Set the x axis: steps, and epochs below them if at least one is finished."""
    last = max(1, steps["step"].max()) if len(steps) else 1
    axes.set_xlim(-0.01 * last, 1.01 * last)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("step")
    ends = series_of(_ends_of_epochs(steps), f"{EPOCH}/number")
    if len(ends) == 0:
        return
    # All epochs of a run have the same number of steps.
    steps_per_epoch = ends.steps[-1] / ends.values[-1]
    below = axes.secondary_xaxis(
        -0.32,
        functions=(lambda step: step / steps_per_epoch, lambda epoch: epoch * steps_per_epoch),
    )
    below.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    below.set_xlabel("epoch")
