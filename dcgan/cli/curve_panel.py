"""Curves of a run as text, for `dcgan watch` and `dcgan diagnose`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.text import Text

from tracking.events import BATCH, EPOCH

if TYPE_CHECKING:
    import pandas as pd

_MAX_TICKS = 4


def curve_panel(
    steps: pd.DataFrame, title: str, curves: tuple[tuple[str, str, str], ...], size: tuple[int, int]
) -> Text:
    """Curves of epoch means, or of batches while fewer than two epochs are complete.

    Args:
        steps: The step table of one run, `tracking.tables.step_table`.
        title: The title of the panel.
        curves: Metric, name and colour of each.
        size: Columns and lines.
    """
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    width, height = size
    plotext.plotsize(width, height - 2)  # the heading and the axis label take two lines
    prefix, unit = (EPOCH, "epoch means") if _has_epochs(steps) else (BATCH, "batches")
    heading = Text(f"{title} ({unit})", no_wrap=True, overflow="ellipsis")
    heights: list[float] = []
    for metric, name, color in curves:
        path = f"{prefix}/{metric}"
        points = _points(steps.set_index("step")[path], width) if path in steps else []
        if points:
            xs, ys = zip(*points, strict=True)
            plotext.plot(list(xs), list(ys), color=color, marker="braille")
            heights += ys
            heading.append(f"  \N{BOX DRAWINGS HEAVY HORIZONTAL} {name}", color)
    if not heights:
        return Text(f"\n{title}: nothing measured yet\n", style="dim")
    ends = (float(steps["step"].min()), float(steps["step"].max()))
    ticks = _round_ticks(ends, whole=True)
    plotext.xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ticks = _round_ticks((min(heights), max(heights)), whole=False)
    plotext.yticks(ticks, [f"{tick:g}" for tick in ticks])
    heading.append("  by step\n")
    return heading.append_text(Text.from_ansi(plotext.build()))


def _round_ticks(ends: tuple[float, float], *, whole: bool) -> list[float]:
    """A few round numbers between two ends, or the ends if there are none."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=_MAX_TICKS, integer=whole).tick_values(*ends)
    return [round(float(t), 12) for t in ticks if ends[0] <= t <= ends[1]] or sorted(set(ends))


def _has_epochs(steps: pd.DataFrame) -> bool:
    path = f"{EPOCH}/number"
    return path in steps and int(steps[path].notna().sum()) > 1


def _points(values: pd.Series, width: int) -> list[tuple[int, float]]:
    """Points (step, value), downsampled to a terminal's resolution; extremes are kept."""
    from tsdownsample import MinMaxDownsampler

    finite = values[values.map(math.isfinite)]
    if len(finite) > 4 * width:
        positions = MinMaxDownsampler().downsample(finite.to_numpy("float64"), n_out=4 * width)
        finite = finite.iloc[positions]
    return list(zip(finite.index.tolist(), finite.tolist(), strict=True))
