"""Curves of many runs: each arm's losses and scores over time, with the spread of its seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from analysis.bands import WINDOW, Band, argmin_step, band_of, difference, moving_average, thin_band
from analysis.plots import style
from analysis.plots.arm_style import ArmStyle, arms_of, count_of_seeds, legend_of_arms
from analysis.plots.axes import wrapped
from analysis.plots.figure_file import FigureFile
from analysis.plots.style import house_style, new_figure
from analysis.series import Floats, Series, downsample, series_of
from tracking.events import BATCH, EPOCH
from tracking.wording import plural

LOSS_NOTE = "A loss says how the game goes, not how good the images are."
FEW_SEEDS = 5
"""Up to as many seeds are lines of their own; a band would hide how few they are."""

FEW_ARMS = 3
"""Of more arms than these only the middle half is a band: whole ranges would cover each other."""

POINTS = 1_000
"""Points of one line among many: the extremes of each 500th of the axis, 2.5 pixels in print."""

_DENSE = 500
"""Points of a line that are closer to each other than a dash is long."""


@house_style
def loss_bands(
    steps: Mapping[str, pd.DataFrame],
    arms: Mapping[str, str],
    seeds: Mapping[str, int],
    *,
    collapsed: Collection[str] = (),
    title: str = "",
) -> FigureFile:
    """The losses of G and D, apart and overlapping: medians over seeds, and their spread.

    steps: for each run id its table, `tracking.tables.step_table`; means of epochs are drawn
    where a run has two, single batches elsewhere. arms, seeds: run id -> label and seed.
    collapsed: ids of runs to be marked as such. A loss that ceases to be finite is marked
    where it does. The axis is logarithmic where losses span far more than a usual range.
    Raises ValueError as `arms.arms_of` does.
    """
    groups = arms_of(steps, arms, seeds)
    time = _Time.of(steps)
    generator = _curves(steps, groups, time, "Gloss", collapsed)
    discriminator = _curves(steps, groups, time, "Dloss", collapsed)
    figure = new_figure(7.6, title, _note(groups, time, [*generator, *discriminator], LOSS_NOTE))
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    for axes, curves, name in (
        (top, generator, "Generator"),
        (middle, discriminator, "Discriminator"),
    ):
        axes.set_title(name)
        _draw_spread(axes, curves)
        _draw_medians(axes, curves)
        _draw_marks(axes, curves, collapsed)
        _set_scale(axes, [curves])
    bottom.set_title("Both: G with filled markers, D with open ones")
    _draw_medians(bottom, generator)
    _draw_medians(bottom, discriminator, hollow=True)
    _set_scale(bottom, [generator, discriminator])
    for axes, name in ((top, "loss of G"), (middle, "loss of D"), (bottom, "loss")):
        axes.set_ylabel(f"{name} (log scale)" if axes.get_yscale() == "log" else name)
    _finish_time(bottom, time)
    figure.align_ylabels()
    legend_of_arms(top, groups, _other_marks([generator, discriminator], collapsed))
    data = _frame([generator, discriminator], time)
    ends = "; ".join(
        f"{g.arm.label}: G {_last_median(g)}, D {_last_median(d)}"
        for g, d in zip(generator, discriminator, strict=True)
    )
    alt = (
        f"Losses of G and D by {time.name} in {plural(len(groups), 'arm')} with "
        f"{count_of_seeds(groups)}; the last medians are {ends or 'none'}."
    )
    return FigureFile(figure, "loss_bands", alt, data)


@house_style
def score_bands(
    steps: Mapping[str, pd.DataFrame],
    arms: Mapping[str, str],
    seeds: Mapping[str, int],
    *,
    published: tuple[float, float] | None = None,
    title: str = "",
) -> FigureFile:
    """D(x) and D(G(z)) with the spread of seeds, and when the two networks are nearest.

    Nearest: the epoch at which D(x) - D(G(z)), smoothed over 10 epochs, is smallest; a tick a
    seed, a large marker at the median of an arm. It needs 10 epochs and is left out where no
    run has as many. steps, arms, seeds: as for `loss_bands`.
    published: first and last epoch of a range to compare with, shaded.
    Raises ValueError as `arms.arms_of` does.
    """
    groups = arms_of(steps, arms, seeds)
    time = _Time.of(steps)
    real = _curves(steps, groups, time, "D_x")
    fake = _curves(steps, groups, time, "D_G_z1")
    gaps = _gaps(real, fake) if time.name == "epoch" else []
    nearest = [[argmin_step(series) for series in each.series] for each in gaps]
    known = any(epoch is not None for arm in nearest for epoch in arm)
    note = _note(groups, time, [*real, *fake], _score_note(known, published, time))
    figure = new_figure(6.2 + 0.22 * len(groups) if known else 3.8, title, note)
    ratios = [2.2, 1.3, 0.25 + 0.22 * len(groups)] if known else [1.0]
    panels = figure.subplots(
        len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios
    ).ravel()
    scores = panels[0]
    scores.set_title("Real images with filled markers, fakes with open ones")
    for curves, hollow in ((real, False), (fake, True)):
        _draw_spread(scores, curves)
        _draw_medians(scores, curves, hollow=hollow)
        _draw_marks(scores, curves, ())
    scores.set_ylabel("D's output")
    if _are_probabilities([*real, *fake]):
        scores.set_ylim(-0.03, 1.03)
        scores.axhline(0.5, color=style.REFERENCE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        scores.set_ylabel("D's output (probability)")
    _finish_time(panels[-1], time)
    frames = [_frame([real, fake], time)]
    if known:
        _draw_gaps(panels[1], gaps)
        frames += [_frame([gaps], time), _draw_nearest(panels[2], groups, nearest)]
    others = _other_marks([real, fake], ())
    if published is not None and time.name == "epoch":
        for axes in panels:
            axes.axvspan(*published, facecolor="#e4e4e4", edgecolor="#bbbbbb", zorder=0)
        name = f"published: epochs {published[0]:g} to {published[1]:g}"
        others[name] = Patch(facecolor="#e4e4e4", edgecolor="#bbbbbb")
    legend_of_arms(scores, groups, others)
    figure.align_ylabels()
    alt = (
        f"D's output for real and fake images by {time.name} in {plural(len(groups), 'arm')} "
        f"with {count_of_seeds(groups)}"
        + (
            f"; the median epoch at which they are nearest is {_medians(groups, nearest)}"
            if known
            else ""
        )
        + "."
    )
    return FigureFile(figure, "score_bands", alt, pd.concat(frames, ignore_index=True))


@dataclass(frozen=True)
class _Time:
    """What the x axis counts. name: `epoch` or `step`."""

    name: str

    @staticmethod
    def of(steps: Mapping[str, pd.DataFrame]) -> _Time:
        number = f"{EPOCH}/number"
        epochs = (table[number].count() for table in steps.values() if number in table)
        # A line needs two points: a lone epoch says less than its batches.
        return _Time("epoch" if max(epochs, default=0) > 1 else "step")

    def series(self, table: pd.DataFrame, metric: str) -> Series:
        if self.name == "step":
            batches = series_of(table, f"{BATCH}/{metric}")
            # Step 0 comes before the first batch: a picture can stand there, but no value.
            return Series(batches.steps[batches.steps > 0], batches.values[batches.steps > 0])
        numbers = series_of(table, f"{EPOCH}/number").values
        ends = np.isfinite(numbers)
        values = series_of(table, f"{EPOCH}/{metric}").values
        if len(values) == 0:
            return Series(np.empty(0, np.int64), values)
        return Series(numbers[ends].astype(np.int64), values[ends])


@dataclass(frozen=True, eq=False)
class _ArmCurves:
    """One metric of one arm: a series a run, as many as the arm has, and their band.

    singles: the positions of runs that are lines of their own: all of few, of many those that
    collapsed or ceased to be finite.
    """

    arm: ArmStyle
    metric: str
    series: tuple[Series, ...]
    band: Band
    singles: tuple[int, ...]

    @staticmethod
    def of(
        arm: ArmStyle, metric: str, series: Sequence[Series], collapsed: Collection[str]
    ) -> _ArmCurves:
        singles = tuple(
            position
            for position, (run, each) in enumerate(zip(arm.runs, series, strict=True))
            if len(series) <= FEW_SEEDS or run in collapsed or not np.isfinite(each.values).all()
        )
        return _ArmCurves(arm, metric, tuple(series), thin_band(band_of(series), POINTS), singles)


def _curves(
    steps: Mapping[str, pd.DataFrame],
    groups: Sequence[ArmStyle],
    time: _Time,
    metric: str,
    collapsed: Collection[str] = (),
) -> list[_ArmCurves]:
    return [
        _ArmCurves.of(arm, metric, [time.series(steps[run], metric) for run in arm.runs], collapsed)
        for arm in groups
    ]


def _gaps(real: Sequence[_ArmCurves], fake: Sequence[_ArmCurves]) -> list[_ArmCurves]:
    found = []
    for one, other in zip(real, fake, strict=True):
        series = [
            moving_average(difference(x, z)) for x, z in zip(one.series, other.series, strict=True)
        ]
        found.append(_ArmCurves.of(one.arm, "smoothed D_x - D_G_z1", series, ()))
    return found


def _draw_spread(axes: Axes, curves: Sequence[_ArmCurves]) -> None:
    for each in curves:
        for position in each.singles if len(each.series) > 1 else ():
            line = downsample(each.series[position], POINTS)
            axes.plot(
                line.steps,
                line.values,
                color=each.arm.colour,
                alpha=0.45,
                linewidth=0.6,
                solid_joinstyle="bevel",
                gid=f"seed {each.arm.seeds[position]}/{each.metric}/{each.arm.label}",
                zorder=2,
            )
        if len(each.series) > FEW_SEEDS:
            band = each.band
            whole = (band.minimum, band.maximum, 0.15)
            half = (band.lower_quartile, band.upper_quartile, 0.3)
            for low, high, alpha in (whole, half) if len(curves) <= FEW_ARMS else (half,):
                axes.fill_between(
                    band.steps, low, high, color=each.arm.colour, alpha=alpha, linewidth=0, zorder=1
                )


def _draw_medians(axes: Axes, curves: Sequence[_ArmCurves], hollow: bool = False) -> None:
    for order, each in enumerate(curves):
        count = len(each.band.steps)
        axes.plot(
            each.band.steps,
            each.band.median,
            color=each.arm.colour,
            # In noise as dense as this a dash cannot be seen, yet takes seconds to draw.
            linestyle=each.arm.dashes if count <= _DENSE else "-",
            linewidth=1.6 if count <= _DENSE else 0.9,
            solid_joinstyle="bevel",
            marker=each.arm.marker,
            # Where lines run side by side their markers must not cover one another.
            markevery=None if count < 8 else (order * count // 40, max(1, count // 8)),
            markersize=4.5,
            markerfacecolor="white" if hollow else each.arm.colour,
            gid=f"median/{each.metric}/{each.arm.label}",
            zorder=4,
        )


def _draw_marks(axes: Axes, curves: Sequence[_ArmCurves], collapsed: Collection[str]) -> None:
    """A cross at the upper edge where a run breaks, a ring at the end of one that collapsed."""
    for each in curves:
        for run, series in zip(each.arm.runs, each.series, strict=True):
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
                    color=each.arm.colour,
                    gid=f"not finite/{each.metric}/{run}",
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
                    color=each.arm.colour,
                    gid=f"collapsed/{each.metric}/{run}",
                    zorder=5,
                )


def _draw_gaps(axes: Axes, gaps: Sequence[_ArmCurves]) -> None:
    axes.set_title("Distance of the two")
    axes.set_ylabel("D(x) \N{MINUS SIGN} D(G(z))")
    _draw_spread(axes, gaps)
    _draw_medians(axes, gaps)


def _draw_nearest(
    axes: Axes, groups: Sequence[ArmStyle], nearest: Sequence[Sequence[int | None]]
) -> pd.DataFrame:
    axes.set_title("Epoch at which they are nearest: a tick a seed, the median large")
    rows: list[tuple[str, str, str, float, int]] = []
    for row, (arm, epochs) in enumerate(zip(groups, nearest, strict=True)):
        known = [(seed, e) for seed, e in zip(arm.seeds, epochs, strict=True) if e is not None]
        rows += [(arm.label, "nearest", f"seed {seed}", epoch, 1) for seed, epoch in known]
        if not known:
            continue
        axes.plot(
            [epoch for _, epoch in known],
            [row] * len(known),
            linestyle="",
            marker="|",
            markersize=14,
            markeredgewidth=1.2,
            color=arm.colour,
            gid=f"nearest/{arm.label}",
        )
        median = float(np.median([epoch for _, epoch in known]))
        axes.plot(
            median,
            row,
            marker=arm.marker,
            markersize=6,
            color=arm.colour,
            markeredgecolor="white",
            gid=f"median nearest/{arm.label}",
            zorder=4,
        )
        rows.append((arm.label, "nearest", "median", median, len(known)))
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_yticks(range(len(groups)), [wrapped(arm.label, 16) for arm in groups])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    frame = pd.DataFrame(rows, columns=["arm", "metric", "line", "epoch", "runs"])
    return frame.assign(value=np.nan)


def _frame(panels: Sequence[Sequence[_ArmCurves]], time: _Time) -> pd.DataFrame:
    """Every line and edge that is drawn, one row a point."""
    parts = [
        pd.DataFrame(columns=["arm", "metric", "line", time.name, "runs", "value"]).astype(
            {time.name: "int64", "runs": "int64", "value": "float64"}
        )
    ]
    half = ("lower_quartile", "upper_quartile")
    for each, whole in ((each, len(panel) <= FEW_ARMS) for panel in panels for each in panel):
        band = each.band
        lines: list[tuple[str, Series, object]] = [
            ("median", Series(band.steps, band.median), band.runs)
        ]
        if len(each.series) > FEW_SEEDS:
            for name in ("minimum", *half, "maximum") if whole else half:
                edge: Floats = getattr(band, name)
                lines.append((name.replace("_", " "), Series(band.steps, edge), band.runs))
        for position in each.singles:
            lines.append(
                (f"seed {each.arm.seeds[position]}", downsample(each.series[position], POINTS), 1)
            )
        for name, line, runs in lines:
            columns = {"arm": each.arm.label, "metric": each.metric, "line": name}
            values = {time.name: line.steps, "runs": runs, "value": line.values}
            parts.append(pd.DataFrame({**columns, **values}, index=range(len(line))))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _set_scale(axes: Axes, panels: Sequence[Sequence[_ArmCurves]]) -> None:
    bands = [each.band for curves in panels for each in curves]
    lows, highs = (
        np.concatenate([values[np.isfinite(values)] for values in edges] or [np.empty(0)])
        for edges in ([b.minimum for b in bands], [b.maximum for b in bands])
    )
    # Losses of critics are negative at times: they have no logarithm.
    if len(highs) and lows.min() > 0 and highs.max() > 30 * np.median(highs):
        axes.set_yscale("log")
    if len(highs) == 0:
        style.annotate_empty(axes)


def _finish_time(axes: Axes, time: _Time) -> None:
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    axes.margins(x=0.01)
    axes.set_xlabel("epoch" if time.name == "epoch" else "step (batches)")


def _other_marks(
    panels: Sequence[Sequence[_ArmCurves]], collapsed: Collection[str]
) -> dict[str, Artist]:
    every = [each for curves in panels for each in curves]
    marks: dict[str, Artist] = {}
    if any(not np.isfinite(series.values).all() for each in every for series in each.series):
        marks["first value not finite"] = Line2D(
            [], [], color=style.REFERENCE, linestyle="", marker="x", markeredgewidth=1.6
        )
    if any(run in collapsed for each in every for run in each.arm.runs):
        marks["collapsed"] = Line2D(
            [], [], color=style.REFERENCE, linestyle="", marker="o", markersize=8,
            markerfacecolor="none",
        )  # fmt: skip
    return marks


def _note(groups: Sequence[ArmStyle], time: _Time, curves: Sequence[_ArmCurves], last: str) -> str:
    most = max((len(arm.runs) for arm in groups), default=0)
    least = min((len(arm.runs) for arm in groups), default=0)
    values = "means of epochs" if time.name == "epoch" else "single batches"
    if most <= 1:
        spread = f"One seed an arm is an anecdote. The lines are {values}."
    else:
        of_few = f" of arms with up to {FEW_SEEDS}" if most > FEW_SEEDS else ""
        few = f"thin lines: each seed{of_few}"
        whole = " and, paler, all of them" if len(groups) <= FEW_ARMS else ""
        bands = f"bands: the middle half of the seeds{whole}"
        broke = any(each.singles and len(each.series) > FEW_SEEDS for each in curves)
        kinds = [few] * (least <= FEW_SEEDS) + [bands] * (most > FEW_SEEDS)
        kinds += ["thin lines in a band: runs that broke or collapsed"] * broke
        spread = (
            f"{count_of_seeds(groups).capitalize()}, {values}. Strong lines: the median over the "
            f"seeds with a finite value there; {'; '.join(kinds)}."
        )
    return f"{spread} {last}"


def _score_note(known: bool, published: tuple[float, float] | None, time: _Time) -> str:
    parts = []
    if known:
        parts.append(f"The distance is smoothed over {WINDOW} epochs.")
    else:
        parts.append(f"No run has the {WINDOW} epochs that tell when the two are nearest.")
    if published is not None and time.name != "epoch":
        parts.append("The published range is left out: there are no epochs.")
    return " ".join([*parts, "A score of 0.5 can mean a good G as well as a weak D."])


def _are_probabilities(curves: Sequence[_ArmCurves]) -> bool:
    return all(
        not (np.nanmin(edge, initial=0) < 0 or np.nanmax(edge, initial=1) > 1)
        for each in curves
        for edge in (each.band.minimum, each.band.maximum)
    )


def _last_median(curves: _ArmCurves) -> str:
    finite = curves.band.median[np.isfinite(curves.band.median)]
    return f"{finite[-1]:.3g}" if len(finite) else "never finite"


def _medians(groups: Sequence[ArmStyle], nearest: Sequence[Sequence[int | None]]) -> str:
    known = {
        arm.label: [epoch for epoch in epochs if epoch is not None]
        for arm, epochs in zip(groups, nearest, strict=True)
    }
    return ", ".join(
        f"{np.median(epochs):g} in {label}" if epochs else f"unknown in {label}"
        for label, epochs in known.items()
    )
