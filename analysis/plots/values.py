"""One value per run: arms in pairs of seeds, or against the values of a factor."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.comparison.arms import Arm
from analysis.comparison.conclusions import signed, signed_range
from analysis.plots import style
from analysis.plots.arm_style import arm_style, check_arms, count_of_seeds
from analysis.plots.axes import label_ticks, spans_decade, tick_values
from analysis.plots.figure_file import FigureFile
from analysis.plots.style import house_style, new_figure
from analysis.series import Floats
from tracking.wording import plural

Interval: TypeAlias = tuple[float, float]

_RUN, _COLLAPSED, _MEAN = "#44aacc", "#bb5566", "#004488"
"""Colours of the dots, the crosses and the means of `factor_intervals`."""


@house_style
def paired_slopes(
    arms: Sequence[Arm],
    values: Mapping[str, float],
    *,
    metric: str,
    interval: Interval | None = None,
    interval_name: str = "95% interval",
    title: str = "",
) -> FigureFile:
    """A metric of two arms with the same seeds: one dot per run, one line per seed.

    Other arms (one, more than two, or two with different seeds) are drawn as dots and boxes.

    Args:
        arms: The arms, in the order that gives them their styles.
        values: Run id -> the metric; NaN if a run lacks it.
        metric: The metric's name and unit, for the axis.
        interval: The interval of the mean difference, the second arm minus the first, over the
            pairs with two finite values. Unused if the arms are not paired.
        interval_name: The name of the interval, such as `95% interval`.
        title: The figure's title; may be empty.

    Raises:
        ValueError: As for `arm_style.check_arms`.
    """
    check_arms(arms, values)
    if len(arms) == 2 and arms[0].seeds == arms[1].seeds:
        figure, alt = _pairs(arms[0], arms[1], values, metric, interval, interval_name, title)
    else:
        figure, alt = _strips(arms, values, metric, title)
    rows = [
        (arm.label, seed, run, values[run])
        for arm in arms
        for run, seed in zip(arm.runs, arm.seeds, strict=True)
    ]
    points = pd.DataFrame(rows, columns=["arm", "seed", "run", "value"])
    return FigureFile(figure, "paired_slopes", alt, points)


@house_style
def factor_intervals(
    arms: Sequence[Arm],
    values: Mapping[str, float],
    *,
    metric: str,
    factor: str,
    intervals: Mapping[float, Interval] | None = None,
    interval_name: str = "95% interval",
    collapsed: Collection[str] = (),
    title: str = "",
) -> FigureFile:
    """A metric against a numeric factor: one dot per run, the means, and counts of broken runs.

    Args:
        arms: The arms; the first of an arm's values is its factor, a finite number. The axis is
            logarithmic if positive factors span more than a decade.
        values: Run id -> the metric; NaN if a run lacks it.
        metric: The metric's name and unit, for the axis.
        factor: The factor's name and unit, for the axis.
        intervals: Value of the factor -> interval of the mean over its runs with a finite value.
        interval_name: The name of the intervals, such as `95% interval`.
        collapsed: Ids of collapsed runs, drawn as crosses and counted. Runs without a finite
            value, which may just not have been evaluated, are counted with them.
        title: The figure's title; may be empty.

    Raises:
        ValueError: As for `arm_style.check_arms`, or the factor of an arm is not a finite number.
    """
    check_arms(arms, values)
    intervals = intervals or {}
    runs = _runs_by_factor(arms, values, factor, collapsed)
    finite = runs[np.isfinite(runs["value"])]
    means = finite.groupby("factor")["value"].mean()
    broken = runs["collapsed"] | ~np.isfinite(runs["value"])
    counts = broken.groupby(runs["factor"]).agg(["sum", "count"])
    factors = counts.index.to_numpy(dtype=float)
    logarithmic = spans_decade(factors)
    sizes = sorted(set(counts["count"])) or [0]
    number = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    bars = f"bars: its {interval_name}" if intervals else "no interval was computed"
    note = (
        f"{number} {'run' if sizes[-1] == 1 else 'runs'} per value, one dot per run, with "
        f"{plural(runs['seed'].nunique(), 'seed')}. "
        f"Line: the mean over runs with a finite value; {bars}. Crosses: collapsed runs. Runs "
        "without a finite value are counted but not drawn."
    )
    figure = new_figure(4.2, title, note)
    axes = figure.subplots()
    if logarithmic:
        axes.set_xscale("log")
    _draw_runs(axes, finite, factors, logarithmic)
    _draw_means(axes, means, intervals)
    _write_counts(axes, counts)
    axes.set_xlabel(f"{factor} (log scale)" if logarithmic else factor)
    axes.set_ylabel(metric)
    axes.margins(x=0.08)
    tick_values(axes, factors, logarithmic)
    if finite.empty:
        style.annotate_empty(axes)
    points = runs.merge(means.rename("mean").reset_index(), on="factor", how="left")
    for end, name in enumerate(("interval_low", "interval_high")):
        points[name] = [intervals.get(v, (np.nan, np.nan))[end] for v in points["factor"]]
    best = f"; its mean is lowest, {means.min():.3g}, at {means.idxmin():g}" if len(means) else ""
    alt = (
        f"{metric} against {factor} at {len(counts)} values with {number} runs each{best}; "
        f"{int(broken.sum())} of {len(runs)} runs collapsed or have no finite value."
    )
    return FigureFile(figure, "factor_intervals", alt, points)


def _runs_by_factor(
    arms: Sequence[Arm], values: Mapping[str, float], factor: str, collapsed: Collection[str]
) -> pd.DataFrame:
    """One row per run: factor, run, seed, value, collapsed."""
    rows = []
    for arm in arms:
        if not _is_finite_number(arm.values[0]):
            raise ValueError(f"These runs have no finite {factor}: {', '.join(arm.runs)}.")
        for run, seed in zip(arm.runs, arm.seeds, strict=True):
            value = float(values[run])
            rows.append((float(str(arm.values[0])), run, seed, value, run in collapsed))
    runs = pd.DataFrame(rows, columns=["factor", "run", "seed", "value", "collapsed"])
    types = {"factor": float, "seed": int, "value": float, "collapsed": bool}
    return runs.astype(types).sort_values(["factor", "run"], ignore_index=True)


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _draw_runs(axes: Axes, runs: pd.DataFrame, factors: Floats, logarithmic: bool) -> None:
    x = _beside_factor(runs["factor"].to_numpy(dtype=float), factors, logarithmic)
    collapsed = runs["collapsed"].to_numpy(dtype=bool)
    for chosen, marker, colour, name in (
        (~collapsed, "o", _RUN, "runs"),
        (collapsed, "x", _COLLAPSED, "collapsed"),
    ):
        axes.plot(
            x[chosen], runs["value"].to_numpy()[chosen], linestyle="", marker=marker,
            markersize=4.5, color=colour, gid=name, zorder=2,
        )  # fmt: skip


def _draw_means(axes: Axes, means: pd.Series, intervals: Mapping[float, Interval]) -> None:
    axes.plot(
        means.index, means, color=_MEAN, linewidth=1.4, marker="D", markersize=5, gid="means",
        zorder=4,
    )  # fmt: skip
    for value, (low, high) in intervals.items():
        axes.plot(
            [value, value], [low, high], color=_MEAN, linewidth=1.4, marker="_", markersize=8,
            gid=f"interval/{value:g}", zorder=3,
        )  # fmt: skip


def _write_counts(axes: Axes, counts: pd.DataFrame) -> None:
    """Write above each value of the factor how many of its runs collapsed or have no value."""
    for value, broken, count in zip(counts.index, counts["sum"], counts["count"], strict=True):
        axes.text(
            value,
            1.02,
            f"{broken}/{count}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize="small",
            color=style.REFERENCE,
        )
    title = "Collapsed or without a finite value / all runs, per value"
    axes.set_title(title, fontsize="small", fontweight="normal", pad=18)


def _pairs(
    first: Arm,
    second: Arm,
    values: Mapping[str, float],
    metric: str,
    interval: Interval | None,
    interval_name: str,
    title: str,
) -> tuple[Figure, str]:
    """The figure and its alternative text."""
    pairs = np.array(
        [[values[a], values[b]] for a, b in zip(first.runs, second.runs, strict=True)], float
    )
    finite = np.isfinite(pairs).all(axis=1)
    differences = pairs[finite, 1] - pairs[finite, 0]
    left_out = int(np.count_nonzero(~finite))
    note = (
        f"{plural(len(pairs), 'seed')} per arm. Left: one dot per run, one line per seed. "
        f"Right: {second.label} minus {first.label}, one dot per seed; the diamond is the mean"
        + (f" with its {interval_name}." if interval else " (no interval was computed).")
        + (f" Left out: {plural(left_out, 'pair')} with a value not finite." if left_out else "")
    )
    figure = new_figure(4.0, title, note)
    slopes, beside = figure.subplots(1, 2, width_ratios=[2.2, 1])
    _draw_slopes(slopes, (first, second), pairs)
    slopes.set_ylabel(metric)
    beside.axhline(0, color=style.REFERENCE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    beside.plot(
        np.zeros(len(differences)), differences, linestyle="", marker="o", markersize=5,
        color="#999999", gid="differences",
    )  # fmt: skip
    beside.set_xlim(-0.6, 0.9)
    beside.set_xticks([])
    beside.set_ylabel("difference")
    if len(differences) == 0:
        style.annotate_empty(beside)
        return figure, f"{metric} of two arms: no pair of seeds has finite values."
    mean = differences.mean()
    beside.plot(0.4, mean, marker="D", markersize=7, color="#111111", gid="mean difference")
    number = plural(len(differences), "pair")
    result = f"mean difference {signed(mean)} over {number}"
    if interval is not None:
        beside.plot(
            [0.4, 0.4], interval, color="#111111", linewidth=1.4, marker="_", markersize=9,
            gid="interval",
        )  # fmt: skip
        result += f", {interval_name} {signed_range(*interval)}"
    slopes.set_title(f"{result[0].upper()}{result[1:]}".replace(", ", "\n", 1))
    alt = f"{metric} per seed in {first.label} and in {second.label}: {result}."
    return figure, alt


def _draw_slopes(axes: Axes, arms: tuple[Arm, Arm], pairs: Floats) -> None:
    """pairs: (seeds, 2), the values of either arm."""
    for seed, pair in zip(arms[0].seeds, pairs, strict=True):
        axes.plot([0, 1], pair, color="#999999", linewidth=1, gid=f"seed {seed}", zorder=1)
    for position, arm in enumerate(arms):
        look = arm_style(position)
        axes.plot(
            np.full(len(pairs), position), pairs[:, position], linestyle="", marker=look.marker,
            markersize=6, color=look.colour, gid=f"arm/{arm.label}",
        )  # fmt: skip
    axes.set_xlim(-0.3, 1.3)
    label_ticks(axes, [0, 1], [arm.label for arm in arms], 28)


def _strips(
    arms: Sequence[Arm], values: Mapping[str, float], metric: str, title: str
) -> tuple[Figure, str]:
    """The figure and its alternative text."""
    left_out = sum(not np.isfinite(values[run]) for arm in arms for run in arm.runs)
    note = (
        f"{count_of_seeds(arms).capitalize()}. One dot per run"
        + ("; runs with the same seed are not joined" if len(arms) > 1 else "")
        + ". Boxes: the median and the middle half of the runs; whiskers: the farthest run within "
        "1.5 box heights."
        + (f" Left out: {plural(left_out, 'run')} without a finite value." if left_out else "")
    )
    figure = new_figure(4.0, title, note)
    axes = figure.subplots()
    medians = []
    for position, arm in enumerate(arms):
        arm_values = np.array([values[run] for run in arm.runs], float)
        finite = arm_values[np.isfinite(arm_values)]
        if len(finite) == 0:
            medians.append(f"{arm.label} has no finite value")
            continue
        medians.append(f"{arm.label} {np.median(finite):.3g}")
        look, lines = arm_style(position), {"color": "#555555", "linewidth": 1}
        axes.boxplot(
            finite, positions=[position], widths=0.5, showfliers=False, manage_ticks=False,
            boxprops=lines, medianprops=lines, whiskerprops=lines, capprops=lines,
        )  # fmt: skip
        spread = np.linspace(-0.14, 0.14, len(finite)) if len(finite) > 1 else np.zeros(1)
        axes.plot(
            position + spread, finite, linestyle="", marker=look.marker, markersize=5,
            color=look.colour, gid=f"arm/{arm.label}", zorder=3,
        )  # fmt: skip
    axes.set_xlim(-0.6, max(1, len(arms)) - 0.4)
    label_ticks(axes, range(len(arms)), [arm.label for arm in arms], 84 // max(3, len(arms)))
    axes.set_ylabel(metric)
    axes.set_xlabel("")
    if left_out == len(values):
        style.annotate_empty(axes)
    alt = f"{metric} with {count_of_seeds(arms)}; the medians are {', '.join(medians) or 'none'}."
    return figure, alt


def _beside_factor(factors: Floats, distinct: Floats, logarithmic: bool) -> Floats:
    """The factors, each shifted slightly to the right, so that runs hide neither each other nor
    the mean."""
    if len(factors) == 0:
        return factors
    scaled = np.log(distinct) if logarithmic else distinct
    gaps = np.diff(np.sort(scaled))
    room = gaps.min() if len(gaps) else 0.1
    x = (np.log(factors) if logarithmic else factors).astype(float)
    for value in np.unique(factors):
        chosen = factors == value
        x[chosen] += room * np.linspace(0.16, 0.4, np.count_nonzero(chosen))
    return np.exp(x) if logarithmic else x
