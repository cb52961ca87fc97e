"""A sweep over several keys as parallel coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator

from analysis.plots.axes import label_ticks, spans_decade, wrapped
from analysis.plots.figure_file import FigureFile
from analysis.plots.style import house_style, new_figure
from analysis.series import Floats
from tracking.wording import plural

_NARROW = 14


@house_style
def parallel_coordinates(
    keys: pd.DataFrame,
    values: Mapping[str, float],
    *,
    metric: str,
    lower_is_better: bool,
    title: str = "",
) -> FigureFile:
    """A sweep over several keys: one line per run through its keys to its metric.

    Args:
        keys: One row per run, indexed by run id, one column per key. Numbers are placed from the
            smallest to the largest, logarithmically if positive ones span more than a decade;
            other values, and columns with gaps, are placed at evenly spaced ticks. Keys that do not
            vary are left out.
        values: Run id -> the metric. The best 10% of the runs are drawn on top, darkest and
            thickest; runs with NaN or no value are dashed and grey and end before the metric.
        metric: The metric's name, for its axis.
        lower_is_better: Whether small values are the best.
        title: The figure's title; may be empty.

    Raises:
        ValueError: There are fewer than two runs, or no key varies.
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
    missing = int(np.count_nonzero(~finite))
    note = (
        f"{len(keys)} runs of all seeds, one line per run. Keys that do not vary are left out. "
        f"Thick lines: the best {np.count_nonzero(best)} by {metric}. "
        + (f"Dashed lines: {plural(missing, 'run')} without a finite value. " if missing else "")
        + "What occurs together in a sweep need not be cause and effect."
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
    alt = f"{metric} of {len(keys)} runs over {plural(len(scales) - finite.any(), 'key')}{winner}."
    return FigureFile(figure, "parallel_coordinates", alt, data)


@dataclass(frozen=True, eq=False)
class _Scale:
    """One vertical axis.

    Attributes:
        name: The name of the key or metric.
        label: The name, marked if the axis is logarithmic.
        heights: One per run, 0 to 1; NaN if a run has no value.
        shown: The value of each run as text.
        ticks: Height and text of each tick.
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
    # A missing key is NaN in a frame of numbers, None in one of objects.
    shown = tuple("none" if str(cell) in ("None", "nan") else str(cell) for cell in cells)
    names = sorted(set(shown))
    heights = np.linspace(0, 1, len(names)) if len(names) > 1 else np.array([0.5])
    height_of = dict(zip(names, heights.tolist(), strict=True))
    ticks = tuple((height_of[text], wrapped(text, _NARROW)) for text in names)
    return _Scale(name, name, np.array([height_of[text] for text in shown]), shown, ticks)


def _numeric_scale(name: str, values: Floats) -> _Scale:
    finite = values[np.isfinite(values)]
    low, high = finite.min(), finite.max()
    logarithmic = spans_decade(finite)
    scaled, bottom, top = (
        (np.log(values), np.log(low), np.log(high)) if logarithmic else (values, low, high)
    )
    span = top - bottom
    heights = (scaled - bottom) / span if span else np.where(np.isfinite(values), 0.5, np.nan)
    locator = LogLocator() if logarithmic else MaxNLocator(5)
    distinct = np.unique(finite)
    inner = distinct if len(distinct) <= 6 else np.asarray(locator.tick_values(low, high))
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
    """A mask of the best tenth of the runs with a finite value, at least one."""
    best = np.zeros(len(metrics), bool)
    order = np.argsort(metrics if lower_is_better else -metrics)  # NaN come last
    count = np.count_nonzero(np.isfinite(metrics))
    best[order[: -(-count // 10)]] = True
    return best


def _dark_is_best(lower_is_better: bool) -> Colormap:
    """Viridis without its palest end, which is invisible on white."""
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.92, 256))
    return ListedColormap(colours if lower_is_better else colours[::-1])
