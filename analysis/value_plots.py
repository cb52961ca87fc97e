"""One value of each run: arms in pairs of seeds, a factor's values, sweeps over several keys."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis import style
from analysis.arms import Arm, arms_of, count_of_seeds, label_ticks, wrapped
from analysis.pictures import Picture
from analysis.series import Floats
from analysis.style import house_style, new_figure

Interval = tuple[float, float]

DECADE = 10
"""Values whose largest is more than so many times the smallest stand on a logarithmic axis."""

_NARROW = 14


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
) -> Picture:
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
    return Picture(drawn.figure, "paired_slopes", drawn.alt, data)


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
) -> Picture:
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
    spans = _spans_decade(counts.index.to_numpy(dtype=float))
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
    _tick_values(axes, counts.index.to_numpy(dtype=float), spans)
    if known.empty:
        style.say_nothing_to_draw(axes)
    data = frame.merge(means.rename("mean").reset_index(), on="factor", how="left")
    for place, edge in enumerate(("interval_low", "interval_high")):
        data[edge] = [(intervals or {}).get(v, (np.nan, np.nan))[place] for v in data["factor"]]
    best = f"; its mean is lowest, {means.min():.3g}, at {means.idxmin():g}" if len(means) else ""
    alt = (
        f"{metric} against {factor} at {len(counts)} values with {number} runs each{best}; "
        f"{int(frame['collapsed'].sum())} of {len(frame)} runs collapsed."
    )
    return Picture(figure, "factor_intervals", alt, data)


@house_style
def parallel_coordinates(
    keys: pd.DataFrame,
    values: Mapping[str, float],
    *,
    metric: str,
    lower_is_better: bool,
    title: str = "",
) -> Picture:
    """A sweep over several keys: a line a run through its keys to its metric, the best on top.

    keys: one row a run, indexed by run id, one column a key; numbers run from the smallest to
    the largest, logarithmically where positive ones span more than a decade; anything else,
    and a column with any gap, stands at evenly spaced ticks. Keys that do not vary are left
    out. values: run id -> the metric, NaN where a run has none: such runs are dashed and grey
    and end before the metric. The best 10% are the darkest and the thickest.
    Raises ValueError where fewer than two runs or no varying key is given.
    """
    metrics = np.array([float(values.get(str(run), np.nan)) for run in keys.index])
    metrics[~np.isfinite(metrics)] = np.nan
    varying = [name for name in keys.columns if len(set(map(str, keys[name]))) > 1]
    scales = [_key_scale(str(name), keys[name].tolist()) for name in varying]
    if not scales:
        raise ValueError("Parallel coordinates need two runs and a key in which runs differ.")
    finite = np.isfinite(metrics)
    if finite.any():
        scales.append(_numeric_scale(metric, metrics))
    heights = np.stack([scale.heights for scale in scales], axis=1)
    best = _best(metrics, lower_is_better)
    note = (
        f"{len(keys)} runs, a line each, with the seed that it had; keys that do not vary are "
        f"left out. Thick: the best {np.count_nonzero(best)} by {metric}. "
        f"{np.count_nonzero(~finite)} without a finite value: dashed. "
        "What goes together in a sweep need not be cause and effect."
    )
    figure = new_figure(4.4, title, note)
    axes = figure.subplots()
    _draw_lines(axes, heights[~finite], "broken", colors="#999999", linewidths=0.7, linestyles="--")
    if finite.any():
        colours = _dark_is_best(lower_is_better)
        norm = Normalize(np.nanmin(metrics), np.nanmax(metrics))
        rest, top = finite & ~best, best
        for chosen, name, width in ((rest, "rest", 0.7), (top, "best", 2.2)):
            _draw_lines(
                axes, heights[chosen], name, colors=colours(norm(metrics[chosen])), linewidths=width
            )
        figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=metric, pad=0.06, aspect=30)
    for position, scale in enumerate(scales):
        _draw_scale(axes, position, scale)
    axes.set_xlim(-0.15, len(scales) - 0.85)
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([])
    width = max(9, 84 // len(scales))
    label_ticks(axes, range(len(scales)), [scale.label for scale in scales], width)
    axes.tick_params(axis="x", length=0)
    axes.spines[:].set_visible(False)
    data = keys.astype(object).reset_index(names="run").assign(value=metrics, best=best)
    for scale in scales:
        data[f"height of {scale.name}"] = scale.heights
    winner = ""
    if finite.any():
        index = int(np.nanargmin(metrics) if lower_is_better else np.nanargmax(metrics))
        chosen_keys = ", ".join(f"{s.name} {s.shown[index]}" for s in scales[:-1])
        winner = f"; the best, {metrics[index]:.3g}, has {chosen_keys}"
    alt = f"{metric} of {len(keys)} runs over {_keys(len(scales) - finite.any())}{winner}."
    return Picture(figure, "parallel_coordinates", alt, data)


@dataclass(frozen=True, eq=False)
class _Drawn:
    figure: mpl.figure.Figure
    alt: str


def _pairs(
    values: Mapping[str, float],
    groups: Sequence[Arm],
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
        f"{len(pairs)} {'seed' if len(pairs) == 1 else 'seeds'} an arm: a dot a run, a line a "
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
        style.say_nothing_to_draw(beside)
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
    number = f"{len(differences)} {'pair' if len(differences) == 1 else 'pairs'}"
    slopes.set_title(textwrap.fill(f"{result} ({number})", 66))
    alt = f"{metric} of each seed in {first.label} and in {second.label}: {result} over {number}."
    return _Drawn(figure, alt)


def _strips(values: Mapping[str, float], groups: Sequence[Arm], metric: str, title: str) -> _Drawn:
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
        style.say_nothing_to_draw(axes)
    alt = f"{metric} with {count_of_seeds(groups)}; the medians are {', '.join(medians) or 'none'}."
    return _Drawn(figure, alt)


def _spans_decade(values: Floats) -> bool:
    return len(values) > 0 and values.min() > 0 and values.max() > DECADE * values.min()


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


def _tick_values(axes: Axes, values: Floats, logarithmic: bool) -> None:
    """Ticks at the values themselves while there is room for them."""
    if 0 < len(values) <= 9:
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.xaxis.set_minor_locator(NullLocator())
        scaled = np.log(values) if logarithmic else values
        gaps = np.diff(scaled) / (scaled[-1] - scaled[0]) if len(values) > 1 else scaled
        if gaps.min() < 0.11 and len(values) > 1:
            axes.tick_params(axis="x", rotation=45)
    elif logarithmic:
        axes.xaxis.set_major_locator(LogLocator(numticks=9))
        axes.xaxis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True, eq=False)
class _Scale:
    """One upright axis. heights: of each run, 0 to 1, NaN where it has none; shown: in words.

    label: the name with what must be known to read the axis. ticks: height and text.
    """

    name: str
    label: str
    heights: Floats
    shown: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]


def _key_scale(name: str, cells: Sequence[object]) -> _Scale:
    numeric = all(isinstance(cell, Real) and not isinstance(cell, bool) for cell in cells)
    if numeric and np.isfinite(np.array(cells, float)).all():
        return _numeric_scale(name, np.array(cells, float))
    # A frame of numbers says NaN where a run lacks a key, one of objects None.
    shown = tuple("none" if str(cell) in ("None", "nan") else str(cell) for cell in cells)
    names = sorted(set(shown))
    heights = np.linspace(0, 1, len(names)) if len(names) > 1 else np.array([0.5])
    place = dict(zip(names, heights.tolist(), strict=True))
    ticks = tuple((place[each], wrapped(each, _NARROW)) for each in names)
    return _Scale(name, name, np.array([place[each] for each in shown]), shown, ticks)


def _numeric_scale(name: str, values: Floats) -> _Scale:
    known = values[np.isfinite(values)]
    low, high = known.min(), known.max()
    logarithmic = _spans_decade(known)
    scaled, bottom, top = (
        (np.log(values), np.log(low), np.log(high)) if logarithmic else (values, low, high)
    )
    span = top - bottom
    heights = (scaled - bottom) / span if span else np.where(np.isfinite(values), 0.5, np.nan)
    between = LogLocator() if logarithmic else MaxNLocator(5)
    distinct = np.unique(known)
    inner = distinct if len(distinct) <= 6 else np.asarray(between.tick_values(low, high))
    ticks = [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")] if span else [(0.5, f"{low:.3g}")]
    for tick in inner[(inner > low) & (inner < high)]:
        height = float(((np.log(tick) if logarithmic else tick) - bottom) / span)
        if all(abs(height - other) > 0.07 for other, _ in ticks):
            ticks.append((height, f"{tick:.3g}"))
    shown = tuple(f"{value:g}" for value in values)
    label = f"{name} (log)" if logarithmic else name
    return _Scale(name, label, heights, shown, tuple(ticks))


def _draw_scale(axes: Axes, position: int, scale: _Scale) -> None:
    axes.axvline(position, color="#333333", linewidth=0.8, zorder=5)
    for height, text in scale.ticks:
        axes.plot(position, height, marker="_", color="#333333", markersize=5, zorder=5)
        axes.text(
            position + 0.03,
            height,
            text,
            fontsize="small",
            va="center",
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
            zorder=6,
        )


def _draw_lines(axes: Axes, heights: Floats, name: str, **look: object) -> None:
    points = np.stack(
        [np.broadcast_to(np.arange(heights.shape[1]), heights.shape), heights], axis=-1
    )
    axes.add_collection(LineCollection(list(points), gid=name, **look), autolim=False)  # type: ignore[arg-type]


def _best(metrics: Floats, lower_is_better: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The best tenth of the runs with a finite value, one at least."""
    best = np.zeros(len(metrics), bool)
    order = np.argsort(metrics if lower_is_better else -metrics)  # NaN come last
    known = np.count_nonzero(np.isfinite(metrics))
    best[order[: -(-known // 10)]] = True
    return best


def _dark_is_best(lower_is_better: bool) -> Colormap:
    """Viridis without its palest end, which is lost on white."""
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.92, 256))
    return ListedColormap(colours if lower_is_better else colours[::-1])


def _signed(number: float) -> str:
    return f"{number:+.3g}".replace("-", "\N{MINUS SIGN}")


def _keys(count: int) -> str:
    return f"{count} {'key' if count == 1 else 'keys'}"
