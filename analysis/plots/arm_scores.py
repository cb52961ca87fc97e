"""D's output for real images and for fakes during training, by arm, and when they are nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.bands import WINDOW, argmin_step, distance, moving_average
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
from analysis.plots.arm_style import arm_style, check_arms, count_of_seeds, legend_of_arms
from analysis.plots.axes import wrapped
from analysis.plots.figure_file import FigureFile
from analysis.plots.style import house_style, new_figure
from tracking.wording import plural

_SHADE, _SHADE_EDGE = "#e4e4e4", "#bbbbbb"
"""Colours of the published range."""

_ROW, _LINE = 0.22, 0.165
"""Inches of an arm's row of nearest epochs, at least, and of each line of its label."""


@house_style
def score_bands(
    arms: Sequence[Arm],
    steps: Mapping[str, pd.DataFrame],
    *,
    published: tuple[float, float] | None = None,
    title: str = "",
) -> FigureFile:
    """D(x) and D(G(z)) with the spread of seeds, and when the two are nearest.

    Nearest: the epoch at which |D(x) - D(G(z))|, smoothed over 10 epochs, is smallest. It is left
    out if no run has 10 epochs.

    Args:
        arms: The arms, in the order that gives them their styles.
        steps: Run id -> its step table, `tracking.tables.step_table`. Means of epochs are drawn
            if any run has two, otherwise single batches.
        published: First and last epoch of a published range to compare with, shaded.
        title: The figure's title; may be empty.

    Raises:
        ValueError: As for `arm_style.check_arms`.
    """
    check_arms(arms, steps)
    time = TimeAxis.of(steps)
    real = curves_by_arm(arms, steps, time, "D_x")
    fake = curves_by_arm(arms, steps, time, "D_G_z1")
    distances = _distances(real, fake) if time.name == "epoch" else []
    nearest = [[argmin_step(series) for series in curves.series] for curves in distances]
    has_nearest = any(epoch is not None for epochs in nearest for epoch in epochs)
    note = f"{curves_note(arms, time, [*real, *fake])} {_score_note(has_nearest, published, time)}"
    figure, panels = _panels(arms, has_nearest, title, note)
    _draw_scores(panels[0], real, fake)
    time.finish(panels[-1])
    points = [drawn_points([real, fake], time)]
    if has_nearest:
        _draw_distances(panels[1], distances)
        points += [
            drawn_points([distances], time),
            _draw_nearest_epochs(panels[2], arms, nearest),
        ]
    other_handles = legend_of_marks([*real, *fake])
    if published is not None and time.name == "epoch":
        for axes in panels:
            axes.axvspan(*published, facecolor=_SHADE, edgecolor=_SHADE_EDGE, zorder=0)
        name = f"published: epochs {published[0]:g} to {published[1]:g}"
        other_handles[name] = Patch(facecolor=_SHADE, edgecolor=_SHADE_EDGE)
    legend_of_arms(panels[0], arms, other_handles)
    figure.align_ylabels()
    alt = (
        f"D's output for real and fake images by {time.name} in {plural(len(arms), 'arm')} "
        f"with {count_of_seeds(arms)}"
    )
    if has_nearest:
        alt += f"; the median epoch at which they are nearest is {_median_epochs(arms, nearest)}"
    return FigureFile(figure, "score_bands", f"{alt}.", pd.concat(points, ignore_index=True))


def _panels(
    arms: Sequence[Arm], has_nearest: bool, title: str, note: str
) -> tuple[Figure, Sequence[Axes]]:
    """The panels: the scores alone, or above their distance and a row of nearest epochs per arm."""
    lines = max((_row_label(arm).count("\n") + 1 for arm in arms), default=1)
    rows = len(arms) * max(_ROW, _LINE * lines)
    figure = new_figure(6.2 + rows if has_nearest else 3.8, title, note)
    ratios = [2.2, 1.3, 0.25 + rows] if has_nearest else [1.0]
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)
    return figure, panels.ravel().tolist()


def _draw_scores(axes: Axes, real: Sequence[ArmCurves], fake: Sequence[ArmCurves]) -> None:
    axes.set_title("Filled markers: real images; open markers: fakes")
    for curves, hollow in ((real, False), (fake, True)):
        draw_spread(axes, curves)
        draw_medians(axes, curves, hollow=hollow)
        mark_broken_runs(axes, curves)
    axes.set_ylabel("D's output")
    if _are_probabilities([*real, *fake]):
        axes.set_ylim(-0.03, 1.03)
        axes.axhline(0.5, color=style.REFERENCE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.set_ylabel("D's output (probability)")


def _distances(real: Sequence[ArmCurves], fake: Sequence[ArmCurves]) -> list[ArmCurves]:
    """|D(x) - D(G(z))| of each run, smoothed."""
    return [
        ArmCurves.of(
            real_curves.arm,
            real_curves.style,
            "smoothed |D_x - D_G_z1|",
            [
                moving_average(distance(d_x, d_g_z))
                for d_x, d_g_z in zip(real_curves.series, fake_curves.series, strict=True)
            ],
        )
        for real_curves, fake_curves in zip(real, fake, strict=True)
    ]


def _draw_distances(axes: Axes, distances: Sequence[ArmCurves]) -> None:
    axes.set_title("Distance between the two")
    axes.set_ylabel("|D(x) \N{MINUS SIGN} D(G(z))|")
    draw_spread(axes, distances)
    draw_medians(axes, distances)


def _draw_nearest_epochs(
    axes: Axes, arms: Sequence[Arm], nearest: Sequence[Sequence[int | None]]
) -> pd.DataFrame:
    """One row per arm: a tick per seed, a large marker at their median. Returns what is drawn."""
    axes.set_title("Nearest epoch (one tick per seed; large marker: median)")
    rows: list[tuple[str, str, str, float, int]] = []
    for position, (arm, arm_epochs) in enumerate(zip(arms, nearest, strict=True)):
        by_seed = {
            seed: epoch
            for seed, epoch in zip(arm.seeds, arm_epochs, strict=True)
            if epoch is not None
        }
        rows += [
            (arm.label, "nearest", f"seed {seed}", epoch, 1) for seed, epoch in by_seed.items()
        ]
        if not by_seed:
            continue
        look, epochs = arm_style(position), list(by_seed.values())
        axes.plot(
            epochs,
            [position] * len(epochs),
            linestyle="",
            marker="|",
            markersize=14,
            markeredgewidth=1.2,
            color=look.colour,
            gid=f"nearest/{arm.label}",
        )
        median = float(np.median(epochs))
        axes.plot(
            median,
            position,
            marker=look.marker,
            markersize=6,
            color=look.colour,
            markeredgecolor="white",
            gid=f"median nearest/{arm.label}",
            zorder=4,
        )
        rows.append((arm.label, "nearest", "median", median, len(epochs)))
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_yticks(range(len(arms)), [_row_label(arm) for arm in arms])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    points = pd.DataFrame(rows, columns=["arm", "metric", "line", "epoch", "runs"])
    return points.assign(value=np.nan)


def _row_label(arm: Arm) -> str:
    return wrapped(arm.label, 16)


def _score_note(has_nearest: bool, published: tuple[float, float] | None, time: TimeAxis) -> str:
    parts = []
    if has_nearest:
        parts.append(f"The distance is smoothed over {WINDOW} epochs.")
    else:
        parts.append(f"No run has the {WINDOW} epochs needed to tell when the two are nearest.")
    if published is not None and time.name != "epoch":
        parts.append("The published range of epochs is not shown on an axis of steps.")
    return " ".join([*parts, "A score of 0.5 can mean a good G or a weak D."])


def _are_probabilities(curves: Sequence[ArmCurves]) -> bool:
    return all(
        not (np.nanmin(edge, initial=0) < 0 or np.nanmax(edge, initial=1) > 1)
        for arm_curves in curves
        for edge in (arm_curves.band.minimum, arm_curves.band.maximum)
    )


def _median_epochs(arms: Sequence[Arm], nearest: Sequence[Sequence[int | None]]) -> str:
    parts = []
    for arm, arm_epochs in zip(arms, nearest, strict=True):
        epochs = [epoch for epoch in arm_epochs if epoch is not None]
        median = f"{np.median(epochs):g}" if epochs else "unknown"
        parts.append(f"{median} in {arm.label}")
    return ", ".join(parts)
