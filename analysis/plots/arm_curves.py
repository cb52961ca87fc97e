"""Curves of arms during training: the median over the seeds, the spread, and broken runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from analysis.bands import Band, band_of, thin_band
from analysis.comparison.arms import Arm
from analysis.plots import style
from analysis.plots.arm_style import ArmStyle, arm_style, count_of_seeds
from analysis.series import Floats, Series, downsample, series_of
from tracking.events import BATCH, EPOCH

FEW_SEEDS = 5
"""Up to this many seeds are drawn as separate lines; a band would hide how few they are."""

FEW_ARMS = 3
"""With more arms, a band shows only the middle half: full ranges would cover each other."""

POINTS = 1_000
"""Points per line: the extremes of each 500th of the axis, which is 2.5 pixels in print."""

_DENSE = 500
"""With more points, they are closer to each other than a dash is long."""


@dataclass(frozen=True)
class TimeAxis:
    """What the x axis counts.

    Attributes:
        name: `epoch` or `step`.
    """

    name: str

    @staticmethod
    def of(steps: Mapping[str, pd.DataFrame]) -> TimeAxis:
        """Epochs if any run has at least two, otherwise steps.

        A line needs two points, and one epoch's mean says less than its batches.
        """
        number = f"{EPOCH}/number"
        epochs = (table[number].count() for table in steps.values() if number in table)
        return TimeAxis("epoch" if max(epochs, default=0) > 1 else "step")

    def series(self, table: pd.DataFrame, metric: str) -> Series:
        """A metric of one run over this axis, from its step table; empty if it has none."""
        if self.name == "step":
            batches = series_of(table, f"{BATCH}/{metric}")
            # Step 0 comes before the first batch: it can have an image, but no value.
            return Series(batches.steps[batches.steps > 0], batches.values[batches.steps > 0])
        numbers = series_of(table, f"{EPOCH}/number").values
        ends = np.isfinite(numbers)
        values = series_of(table, f"{EPOCH}/{metric}").values
        if len(values) == 0:
            return Series(np.empty(0, np.int64), values)
        return Series(numbers[ends].astype(np.int64), values[ends])

    def finish(self, axes: Axes) -> None:
        """Set the ticks and the label of the x axis."""
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
        axes.margins(x=0.01)
        axes.set_xlabel("epoch" if self.name == "epoch" else "step (batches)")


@dataclass(frozen=True, eq=False)
class ArmCurves:
    """One metric of one arm.

    Attributes:
        arm: The arm.
        style: Its colour, dashes and marker.
        metric: The metric's name, such as `Gloss`.
        series: One per run of the arm.
        band: Order statistics over the runs, thinned for drawing.
        single_lines: Indices of the runs that are drawn as separate lines: all if they are few,
            otherwise those that collapsed or have a value that is not finite.
    """

    arm: Arm
    style: ArmStyle
    metric: str
    series: tuple[Series, ...]
    band: Band
    single_lines: tuple[int, ...]

    @staticmethod
    def of(
        arm: Arm,
        style: ArmStyle,
        metric: str,
        series: Sequence[Series],
        collapsed: Collection[str] = (),
    ) -> ArmCurves:
        """The curves of an arm from the series of its runs.

        Args:
            arm: The arm.
            style: Its colour, dashes and marker.
            metric: The metric's name, for the saved numbers.
            series: One per run of the arm.
            collapsed: Ids of runs that collapsed.
        """
        single_lines = tuple(
            position
            for position, (run, values) in enumerate(zip(arm.runs, series, strict=True))
            if len(series) <= FEW_SEEDS or run in collapsed or not np.isfinite(values.values).all()
        )
        band = thin_band(band_of(series), POINTS)
        return ArmCurves(arm, style, metric, tuple(series), band, single_lines)


def curves_by_arm(
    arms: Sequence[Arm],
    steps: Mapping[str, pd.DataFrame],
    time: TimeAxis,
    metric: str,
    collapsed: Collection[str] = (),
) -> list[ArmCurves]:
    """One metric of all arms.

    Args:
        arms: The arms, in the order that gives them their styles.
        steps: Run id -> its step table.
        time: The x axis.
        metric: The metric's name, such as `Gloss`.
        collapsed: Ids of runs that collapsed.
    """
    return [
        ArmCurves.of(
            arm,
            arm_style(position),
            metric,
            [time.series(steps[run], metric) for run in arm.runs],
            collapsed,
        )
        for position, arm in enumerate(arms)
    ]


def draw_spread(axes: Axes, curves: Sequence[ArmCurves]) -> None:
    """Thin lines for single runs and, with many seeds, bands."""
    for arm_curves in curves:
        colour = arm_curves.style.colour
        # The line of an arm's only run would be hidden by its median.
        for position in arm_curves.single_lines if len(arm_curves.series) > 1 else ():
            line = downsample(arm_curves.series[position], POINTS)
            seed = arm_curves.arm.seeds[position]
            axes.plot(
                line.steps,
                line.values,
                color=colour,
                alpha=0.45,
                linewidth=0.6,
                solid_joinstyle="bevel",
                gid=f"seed {seed}/{arm_curves.metric}/{arm_curves.arm.label}",
                zorder=2,
            )
        if len(arm_curves.series) > FEW_SEEDS:
            band = arm_curves.band
            full_range = (band.minimum, band.maximum, 0.15)
            middle_half = (band.lower_quartile, band.upper_quartile, 0.3)
            edges = (full_range, middle_half) if len(curves) <= FEW_ARMS else (middle_half,)
            for low, high, alpha in edges:
                axes.fill_between(
                    band.steps, low, high, color=colour, alpha=alpha, linewidth=0, zorder=1
                )


def draw_medians(axes: Axes, curves: Sequence[ArmCurves], hollow: bool = False) -> None:
    """A strong line per arm: the median over the seeds.

    Args:
        axes: Where to draw.
        curves: One metric of all arms.
        hollow: Draw open markers, to tell a second metric from the first.
    """
    for order, arm_curves in enumerate(curves):
        band, look = arm_curves.band, arm_curves.style
        count = len(band.steps)
        axes.plot(
            band.steps,
            band.median,
            color=look.colour,
            # In lines this dense, dashes cannot be seen but take seconds to draw.
            linestyle=look.dashes if count <= _DENSE else "-",
            linewidth=1.6 if count <= _DENSE else 0.9,
            solid_joinstyle="bevel",
            marker=look.marker,
            # The markers are staggered so that those of adjacent lines do not cover each other.
            markevery=None if count < 8 else (order * count // 40, max(1, count // 8)),
            markersize=4.5,
            markerfacecolor="white" if hollow else look.colour,
            gid=f"median/{arm_curves.metric}/{arm_curves.arm.label}",
            zorder=4,
        )


def mark_broken_runs(
    axes: Axes, curves: Sequence[ArmCurves], collapsed: Collection[str] = ()
) -> None:
    """A cross where a run ceases to be finite, a ring at the end of one that collapsed.

    Args:
        axes: Where to draw.
        curves: One metric of all arms.
        collapsed: Ids of runs that collapsed.
    """
    for arm_curves in curves:
        colour = arm_curves.style.colour
        for run, series in zip(arm_curves.arm.runs, arm_curves.series, strict=True):
            finite = np.isfinite(series.values)
            if not finite.all():
                axes.plot(
                    series.steps[np.argmin(finite)],
                    0.96,
                    transform=axes.get_xaxis_transform(),
                    linestyle="",
                    marker="x",
                    markersize=6,
                    markeredgewidth=1.6,
                    color=colour,
                    gid=f"not finite/{arm_curves.metric}/{run}",
                    zorder=5,
                )
            if run in collapsed and finite.any():
                last = np.flatnonzero(finite)[-1]
                axes.plot(
                    series.steps[last],
                    series.values[last],
                    linestyle="",
                    marker="o",
                    markersize=8,
                    markerfacecolor="none",
                    markeredgewidth=1.3,
                    color=colour,
                    gid=f"collapsed/{arm_curves.metric}/{run}",
                    zorder=5,
                )


def legend_of_marks(
    curves: Sequence[ArmCurves], collapsed: Collection[str] = ()
) -> dict[str, Artist]:
    """Legend entries, by name, for the marks that `mark_broken_runs` draws."""
    marks: dict[str, Artist] = {}
    series = [series for arm_curves in curves for series in arm_curves.series]
    if any(not np.isfinite(run_series.values).all() for run_series in series):
        marks["first value not finite"] = Line2D(
            [], [], color=style.REFERENCE, linestyle="", marker="x", markeredgewidth=1.6
        )
    if any(run in collapsed for arm_curves in curves for run in arm_curves.arm.runs):
        marks["collapsed"] = Line2D(
            [], [], color=style.REFERENCE, linestyle="", marker="o", markersize=8,
            markerfacecolor="none",
        )  # fmt: skip
    return marks


def curves_note(arms: Sequence[Arm], time: TimeAxis, curves: Sequence[ArmCurves]) -> str:
    """A sentence that explains the lines, bands and points of a figure.

    Args:
        arms: The arms of the figure.
        time: The x axis.
        curves: All metrics of all arms in the figure.
    """
    most = max((len(arm.runs) for arm in arms), default=0)
    least = min((len(arm.runs) for arm in arms), default=0)
    values = "epoch means" if time.name == "epoch" else "single batches"
    if most <= 1:
        return f"One seed per arm; {values}."
    of_few = f" of arms with up to {FEW_SEEDS} seeds" if most > FEW_SEEDS else ""
    few = f"thin lines: single seeds{of_few}"
    full_range = " and, paler, their full range" if len(arms) <= FEW_ARMS else ""
    bands = f"bands: the middle half of the seeds{full_range}"
    broke = any(each.single_lines and len(each.series) > FEW_SEEDS for each in curves)
    kinds = [few] * (least <= FEW_SEEDS) + [bands] * (most > FEW_SEEDS)
    kinds += ["thin lines in a band: runs that collapsed or ceased to be finite"] * broke
    return (
        f"{count_of_seeds(arms).capitalize()}; {values}. Strong lines: the median over the "
        f"seeds with a finite value at that {time.name}; {'; '.join(kinds)}."
    )


def drawn_points(panels: Sequence[Sequence[ArmCurves]], time: TimeAxis) -> pd.DataFrame:
    """The numbers of every line and band edge that is drawn.

    Args:
        panels: For each metric the curves of all arms.
        time: The x axis.

    Returns:
        One row per point: `arm`, `metric`, `line`, then `epoch` or `step`, `runs` (how many have
        a finite value there) and `value`.
    """
    parts = [
        pd.DataFrame(columns=["arm", "metric", "line", time.name, "runs", "value"]).astype(
            {time.name: "int64", "runs": "int64", "value": "float64"}
        )
    ]
    for panel in panels:
        for arm_curves in panel:
            arm = arm_curves.arm
            for name, line, runs in _lines(arm_curves, full_range=len(panel) <= FEW_ARMS):
                columns = {"arm": arm.label, "metric": arm_curves.metric, "line": name}
                values = {time.name: line.steps, "runs": runs, "value": line.values}
                parts.append(pd.DataFrame({**columns, **values}, index=range(len(line))))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _lines(curves: ArmCurves, full_range: bool) -> list[tuple[str, Series, object]]:
    """Name, points and numbers of runs of each line of an arm."""
    band = curves.band
    lines: list[tuple[str, Series, object]] = [
        ("median", Series(band.steps, band.median), band.runs)
    ]
    if len(curves.series) > FEW_SEEDS:
        middle_half = ("lower_quartile", "upper_quartile")
        for name in ("minimum", *middle_half, "maximum") if full_range else middle_half:
            edge: Floats = getattr(band, name)
            lines.append((name.replace("_", " "), Series(band.steps, edge), band.runs))
    for position in curves.single_lines:
        line = downsample(curves.series[position], POINTS)
        lines.append((f"seed {curves.arm.seeds[position]}", line, 1))
    return lines
