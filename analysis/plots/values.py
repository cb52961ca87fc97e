"""One value of each run: arms in pairs of seeds, a factor's values, sweeps over several keys."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd

from analysis.plots import style
from analysis.plots.arm_style import ArmStyle, arms_of, count_of_seeds
from analysis.plots.axes import label_ticks, spans_decade, tick_values
from analysis.plots.figure_file import FigureFile
from analysis.plots.style import house_style, new_figure
from analysis.series import Floats
from tracking.wording import plural

Interval = tuple[float, float]


@house_style
def paired_slopes(
    values: Mapping[str, float],
    arms: Mapping[str, str],
    seeds: Mapping[str, int],
    *,
    metric: str,
    interval: Interval | None = None,
    interval_name: str = "95% interval",
    title: str = "",
) -> FigureFile:
    """A metric of two arms that share their seeds: a dot a run, the dots of a seed joined.

    values: run id -> the metric, NaN where a run has none; metric: its name and unit, for the
    axis. interval: of the mean difference, the second arm minus the first, computed by the
    caller over the pairs of which both values are finite. More than two arms, one arm, or
    arms of other seeds are dots beside boxes, and `interval` is not used.
    Raises ValueError as `arms.arms_of` does.
    """
    groups = arms_of(values, arms, seeds)
    paired = len(groups) == 2 and groups[0].seeds == groups[1].seeds
    if paired:
        drawn = _pairs(values, groups, metric, interval, interval_name, title)
    else:
        drawn = _strips(values, groups, metric, title)
    rows = [
        (arm.label, seed, run, values[run])
        for arm in groups
        for run, seed in zip(arm.runs, arm.seeds, strict=True)
    ]
    data = pd.DataFrame(rows, columns=["arm", "seed", "run", "value"])
    return FigureFile(drawn.figure, "paired_slopes", drawn.alt, data)


@house_style
def factor_intervals(
    values: Mapping[str, float],
    factors: Mapping[str, float],
    seeds: Mapping[str, int],
    *,
    metric: str,
    factor: str,
    intervals: Mapping[float, Interval] | None = None,
    interval_name: str = "95% interval",
    collapsed: Collection[str] = (),
    title: str = "",
) -> FigureFile:
    """A metric against a numeric factor: a dot a run, the mean of each value, how many collapsed.

    values: run id -> the metric, NaN where a run has none. factors: run id -> the factor,
    finite; its axis is logarithmic where positive values span more than a decade.
    seeds: run id -> seed.
    metric, factor: their names and units, for the axes. intervals: by value of the factor, of
    the mean over all runs with a finite value. collapsed: ids, drawn as crosses and counted;
    a run without a finite value counts as collapsed as well.
    Raises ValueError where a run has no seed, no factor, or one that is not finite.
    """
    frame = pd.DataFrame({"run": list(values), "value": [float(v) for v in values.values()]})
    frame.insert(0, "factor", [factors.get(run, np.nan) for run in frame["run"]])
    if not np.isfinite(frame["factor"].astype(float)).all():
        lacking = frame["run"][~np.isfinite(frame["factor"].astype(float))]
        raise ValueError(f"These runs have no finite {factor}: {', '.join(lacking)}.")
    if missing := sorted(values.keys() - seeds.keys()):
        raise ValueError(f"These runs have no seed: {', '.join(missing)}.")
    frame.insert(2, "seed", [seeds[run] for run in frame["run"]])
    finite = np.isfinite(frame["value"])
    frame["collapsed"] = frame["run"].isin(list(collapsed)) | ~finite
    frame = frame.sort_values(["factor", "run"], ignore_index=True)
    known = frame[np.isfinite(frame["value"])]
    means = known.groupby("factor")["value"].mean()
    counts = frame.groupby("factor")["collapsed"].agg(["sum", "count"])
    runs = sorted(set(counts["count"])) or [0]
    number = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    bars = f"bars: its {interval_name}" if intervals else "no interval was given"
    note = (
        f"{number} {'run' if runs[-1] == 1 else 'runs'} a value, a dot each, of "
        f"{frame['seed'].nunique()} {'seed' if frame['seed'].nunique() == 1 else 'seeds'}. "
        f"Line: the mean over runs with a finite value; {bars}. Crosses: collapsed runs; those "
        "without a finite value are only counted, above."
    )
    figure = new_figure(4.2, title, note)
    axes = figure.subplots()
    spans = spans_decade(counts.index.to_numpy(dtype=float))
    if spans:
        axes.set_xscale("log")
    places = _spread_out(known["factor"].to_numpy(dtype=float), counts.index.to_numpy(), spans)
    broken = known["collapsed"].to_numpy(dtype=bool)
    for chosen, marker, name in ((~broken, "o", "runs"), (broken, "x", "collapsed")):
        axes.plot(
            places[chosen],
            known["value"].to_numpy()[chosen],
            linestyle="",
            marker=marker,
            markersize=4.5,
            color="#44aacc" if marker == "o" else "#bb5566",
            gid=name,
            zorder=2,
        )
    axes.plot(
        means.index, means, color="#004488", linewidth=1.4, marker="D", markersize=5, gid="means",
        zorder=4,
    )  # fmt: skip
    for value, (low, high) in (intervals or {}).items():
        axes.plot(
            [value, value], [low, high], color="#004488", linewidth=1.4, marker="_", markersize=8,
            gid=f"interval/{value:g}", zorder=3,
        )  # fmt: skip
    for value, broke, count in zip(counts.index, counts["sum"], counts["count"], strict=True):
        axes.text(
            value,
            1.02,
            f"{broke}/{count}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize="small",
            color=style.REFERENCE,
        )
    axes.set_title(
        "Collapsed / all runs of each value", fontsize="small", fontweight="normal", pad=18
    )
    axes.set_xlabel(f"{factor} (log scale)" if spans else factor)
    axes.set_ylabel(metric)
    axes.margins(x=0.08)
    tick_values(axes, counts.index.to_numpy(dtype=float), spans)
    if known.empty:
        style.annotate_empty(axes)
    data = frame.merge(means.rename("mean").reset_index(), on="factor", how="left")
    for place, edge in enumerate(("interval_low", "interval_high")):
        data[edge] = [(intervals or {}).get(v, (np.nan, np.nan))[place] for v in data["factor"]]
    best = f"; its mean is lowest, {means.min():.3g}, at {means.idxmin():g}" if len(means) else ""
    alt = (
        f"{metric} against {factor} at {len(counts)} values with {number} runs each{best}; "
        f"{int(frame['collapsed'].sum())} of {len(frame)} runs collapsed."
    )
    return FigureFile(figure, "factor_intervals", alt, data)


@dataclass(frozen=True, eq=False)
class _Drawn:
    figure: mpl.figure.Figure
    alt: str


def _pairs(
    values: Mapping[str, float],
    groups: Sequence[ArmStyle],
    metric: str,
    interval: Interval | None,
    interval_name: str,
    title: str,
) -> _Drawn:
    first, second = groups
    pairs = np.array(
        [[values[a], values[b]] for a, b in zip(first.runs, second.runs, strict=True)], float
    )
    whole = np.isfinite(pairs).all(axis=1)
    differences = pairs[whole, 1] - pairs[whole, 0]
    left_out = np.count_nonzero(~whole)
    note = (
        f"{plural(len(pairs), 'seed')} per arm: one dot per run, one line per "
        f"seed. Difference: {second.label} minus {first.label}; large: the mean"
        + (f" with its {interval_name}." if interval else "; no interval was given.")
        + (f" {left_out} left out: a value of the pair is not finite." if left_out else "")
    )
    figure = new_figure(4.0, title, note)
    slopes, beside = figure.subplots(1, 2, width_ratios=[2.2, 1])
    for seed, pair in zip(first.seeds, pairs, strict=True):
        slopes.plot([0, 1], pair, color="#999999", linewidth=1, gid=f"seed {seed}", zorder=1)
    for place, arm in enumerate(groups):
        slopes.plot(
            np.full(len(pairs), place), pairs[:, place], linestyle="", marker=arm.marker,
            markersize=6, color=arm.colour, gid=f"arm/{arm.label}",
        )  # fmt: skip
    slopes.set_xlim(-0.3, 1.3)
    label_ticks(slopes, [0, 1], [arm.label for arm in groups], 28)
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
        return _Drawn(figure, f"{metric} of two arms: no pair of seeds has finite values.")
    mean = differences.mean()
    beside.plot(0.4, mean, marker="D", markersize=7, color="#111111", gid="mean difference")
    result = f"Mean difference {_signed(mean)}"
    if interval is not None:
        beside.plot(
            [0.4, 0.4], interval, color="#111111", linewidth=1.4, marker="_", markersize=9,
            gid="interval",
        )  # fmt: skip
        result += f", {interval_name} {_signed(interval[0])} to {_signed(interval[1])}"
    number = plural(len(differences), "pair")
    slopes.set_title(textwrap.fill(f"{result} ({number})", 66))
    alt = f"{metric} of each seed in {first.label} and in {second.label}: {result} over {number}."
    return _Drawn(figure, alt)


def _strips(
    values: Mapping[str, float], groups: Sequence[ArmStyle], metric: str, title: str
) -> _Drawn:
    lost = sum(not np.isfinite(values[run]) for arm in groups for run in arm.runs)
    note = (
        f"{count_of_seeds(groups).capitalize()}, not paired: a dot a run; boxes: the median and "
        "the middle half, whiskers to the last run within 1.5 times its length."
        + (f" {lost} left out: not finite." if lost else "")
    )
    figure = new_figure(4.0, title, note)
    axes = figure.subplots()
    medians = []
    for place, arm in enumerate(groups):
        each = np.array([values[run] for run in arm.runs], float)
        each = each[np.isfinite(each)]
        if len(each) == 0:
            medians.append(f"{arm.label} has no finite value")
            continue
        medians.append(f"{arm.label} {np.median(each):.3g}")
        look = {"color": "#555555", "linewidth": 1}
        axes.boxplot(
            each, positions=[place], widths=0.5, showfliers=False, manage_ticks=False,
            boxprops=look, medianprops=look, whiskerprops=look, capprops=look,
        )  # fmt: skip
        axes.plot(
            place + np.linspace(-0.14, 0.14, len(each)) if len(each) > 1 else [place], each,
            linestyle="", marker=arm.marker, markersize=5, color=arm.colour,
            gid=f"arm/{arm.label}", zorder=3,
        )  # fmt: skip
    axes.set_xlim(-0.6, max(1, len(groups)) - 0.4)
    label_ticks(axes, range(len(groups)), [arm.label for arm in groups], 84 // max(3, len(groups)))
    axes.set_ylabel(metric)
    axes.set_xlabel("")
    if lost == len(values):
        style.annotate_empty(axes)
    alt = f"{metric} with {count_of_seeds(groups)}; the medians are {', '.join(medians) or 'none'}."
    return _Drawn(figure, alt)


def _spread_out(factors: Floats, distinct: Floats, logarithmic: bool) -> Floats:
    """The factors moved a little to the right, where no run hides another or the mean."""
    if len(factors) == 0:
        return factors
    scaled = np.log(distinct) if logarithmic else distinct
    gaps = np.diff(np.sort(scaled))
    room = gaps.min() if len(gaps) else 0.1
    places = (np.log(factors) if logarithmic else factors).astype(float)
    for value in np.unique(factors):
        chosen = factors == value
        count = np.count_nonzero(chosen)
        places[chosen] += room * np.linspace(0.16, 0.4, count)
    return np.exp(places) if logarithmic else places


def _signed(number: float) -> str:
    return f"{number:+.3g}".replace("-", "\N{MINUS SIGN}")
