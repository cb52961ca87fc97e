"""The losses of G and D over the training, by arm."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.comparison.arms import Arm
from analysis.plots import style
from analysis.plots.arm_curves import (
    ArmCurves,
    TimeAxis,
    curves_by_arm,
    curves_note,
    draw_medians,
    draw_spread,
    drawn_points,
    legend_of_marks,
    mark_broken_runs,
)
from analysis.plots.arm_style import check_arms, count_of_seeds, legend_of_arms
from analysis.plots.figure_file import FigureFile
from analysis.plots.style import house_style, new_figure
from tracking.wording import plural


@house_style
def loss_bands(
    arms: Sequence[Arm],
    steps: Mapping[str, pd.DataFrame],
    *,
    collapsed: Collection[str] = (),
    title: str = "",
) -> FigureFile:
    """The losses of G and D, in one panel each and in one together: medians and spread over seeds.

    The step at which a loss ceases to be finite is marked. The axis is logarithmic if the losses
    span much more than their usual range.

    Args:
        arms: The arms, in the order that gives them their styles.
        steps: Run id -> its step table, `tracking.tables.step_table`. Means of epochs are drawn
            if any run has two, otherwise single batches.
        collapsed: Ids of the runs to mark as collapsed.
        title: The figure's title; may be empty.

    Raises:
        ValueError: As for `arm_style.check_arms`.
    """
    check_arms(arms, steps)
    time = TimeAxis.of(steps)
    generator = curves_by_arm(arms, steps, time, "Gloss", collapsed)
    discriminator = curves_by_arm(arms, steps, time, "Dloss", collapsed)
    both = [*generator, *discriminator]
    figure = new_figure(7.6, title, curves_note(arms, time, both))
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    for axes, curves, name in (
        (top, generator, "Generator"),
        (middle, discriminator, "Discriminator"),
    ):
        axes.set_title(name)
        draw_spread(axes, curves)
        draw_medians(axes, curves)
        mark_broken_runs(axes, curves, collapsed)
        _set_scale(axes, curves)
    bottom.set_title("Both (filled markers: G; open markers: D)")
    draw_medians(bottom, generator)
    draw_medians(bottom, discriminator, hollow=True)
    _set_scale(bottom, both)
    for axes, name in ((top, "loss of G"), (middle, "loss of D"), (bottom, "loss")):
        axes.set_ylabel(f"{name} (log scale)" if axes.get_yscale() == "log" else name)
    time.finish(bottom)
    figure.align_ylabels()
    legend_of_arms(top, arms, legend_of_marks(both, collapsed))
    ends = "; ".join(
        f"{g.arm.label}: G {_last_median(g)}, D {_last_median(d)}"
        for g, d in zip(generator, discriminator, strict=True)
    )
    alt = (
        f"Losses of G and D by {time.name} in {plural(len(arms), 'arm')} with "
        f"{count_of_seeds(arms)}; the last medians are {ends or 'none'}."
    )
    return FigureFile(figure, "loss_bands", alt, drawn_points([generator, discriminator], time))


def _set_scale(axes: Axes, curves: Sequence[ArmCurves]) -> None:
    lows, highs = (
        np.concatenate([values[np.isfinite(values)] for values in edges] or [np.empty(0)])
        for edges in (
            [each.band.minimum for each in curves],
            [each.band.maximum for each in curves],
        )
    )
    # Losses of critics can be negative, and so have no logarithm.
    if len(highs) and lows.min() > 0 and highs.max() > 30 * np.median(highs):
        axes.set_yscale("log")
    if len(highs) == 0:
        style.annotate_empty(axes)


def _last_median(curves: ArmCurves) -> str:
    finite = curves.band.median[np.isfinite(curves.band.median)]
    return f"{finite[-1]:.3g}" if len(finite) else "never finite"
