"""Ticks and tick labels of axes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from analysis.series import Floats

DECADE = 10
"""An axis is logarithmic if the largest value is more than this many times the smallest."""


def spans_decade(values: Floats) -> bool:
    """Whether positive values span more than a decade."""
    return len(values) > 0 and values.min() > 0 and values.max() > DECADE * values.min()


def tick_values(axes: Axes, values: Floats, logarithmic: bool) -> None:
    """Set the ticks at the values themselves if they fit.

    Args:
        axes: The axes whose x axis is set.
        values: The values, increasing.
        logarithmic: Whether the axis is logarithmic.
    """
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


def wrapped(label: str, width: int) -> str:
    """The label in lines of at most `width` characters, broken between words if possible."""
    lines = [""]
    for piece in re.split(r"(?<=[\s_/,=])|(?<=\.)(?=[A-Za-z])", label):
        if len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return "\n".join(line.rstrip() for line in lines if line.strip()) or label


def label_ticks(axes: Axes, positions: Sequence[float], labels: Sequence[str], width: int) -> None:
    """Write labels of arms at the x axis.

    Args:
        axes: The axes whose x axis is set.
        positions: The positions of the labels.
        labels: One per position; a `$` does not start a formula.
        width: Characters per line.
    """
    axes.set_xticks(positions, [wrapped(label, width) for label in labels])
    for text in axes.get_xticklabels():
        text.set_parse_math(False)
