"""The figures of the probes: mosaics of images and the measurements on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from analysis.plots import style
from analysis.plots.style import house_style, legend_above, new_figure

Mosaic: TypeAlias = npt.NDArray[np.uint8]
"""Images in rows and columns: uint8 (rows, columns, H, W, C), C = 1 or 3."""

_GAP = 2


@house_style
def label_efficiency(table: pd.DataFrame, title: str, note: str) -> Figure:
    """Test accuracy of a linear classifier against the number of labels, one line per space.

    Bands go from the worst split to the best.

    Args:
        table: Columns space, labels_per_class, split, accuracy (0 to 1).
        title: The title above the figure.
        note: The note below the figure.
    """
    figure = new_figure(4.4, title, note)
    axes = figure.subplots()
    for number, (name, rows) in enumerate(table.groupby("space", sort=False)):
        summary = rows.groupby("labels_per_class")["accuracy"].agg(["mean", "min", "max"])
        colour = f"C{number}"
        axes.plot(
            summary.index, summary["mean"], marker="os^D"[number % 4], color=colour, label=name
        )
        axes.fill_between(
            summary.index, summary["min"], summary["max"], color=colour, alpha=0.2, linewidth=0
        )
    counts = sorted(table["labels_per_class"].unique())
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("labels per class")
    axes.set_ylabel("test accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title("Features of")
    legend_above(axes)
    return figure


@house_style
def mosaic_figure(images: Mosaic, title: str, note: str) -> Figure:
    """Images in rows and columns, without axes.

    Args:
        images: The images.
        title: The title above the figure; may be empty.
        note: The note below the figure.
    """
    # Without a title, as in a report, which prints the note beside, there are the images alone.
    figure = new_figure(_height(images) + (0.9 if title else 0.16), title, note)
    _show(figure.subplots(), images)
    return figure


@house_style
def class_shift(
    images: Mosaic,
    strengths: Sequence[float],
    shares: Sequence[float],
    control: Sequence[float],
    title: str,
    note: str,
) -> Figure:
    """Images along a direction in latent space, and the share classified as the target class.

    Args:
        images: One column per strength.
        strengths: Multiples of the difference of the classes' mean latents.
        shares: Share of images classified as the target along the direction, 0 to 1, one per
            strength.
        control: The same share along random directions of the same length.
        title: The title above the figure.
        note: The note below the figure.
    """
    height = _height(images)
    figure = new_figure(height + 3.1, title, note)
    above, below = figure.subplots(2, 1, height_ratios=[height, 2.0])
    _show(above, images, [f"{each:.3g}" for each in strengths])
    below.plot(strengths, shares, marker="o", color=style.GENERATOR, label="towards the class")
    below.plot(
        strengths, control, marker="s", color=style.REFERENCE, linestyle="--", label="at random"
    )
    below.set_ylim(-0.02, 1.02)
    below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    below.set_xlabel("multiples of the difference of the classes' mean latents")
    below.set_ylabel("taken for the target")
    below.set_title("Shifted latents")
    legend_above(below)
    return figure


@house_style
def neighbour_figure(fakes: Mosaic, nearest: Mapping[str, Mosaic], title: str, note: str) -> Figure:
    """Fakes, one per row, each followed by its nearest training images in every space.

    Args:
        fakes: (rows, 1, H, W, C).
        nearest: Space -> training images, (rows, k, H, W, C).
        title: The title above the figure.
        note: The note below the figure.
    """
    columns = [fakes, *nearest.values()]
    widths = [each.shape[1] + 0.3 for each in columns]
    rows, _, high, wide, _ = fakes.shape
    height = style.WIDTH / sum(widths) * rows * high / wide
    figure = new_figure(height + 1.2, title, note)
    panels = figure.subplots(1, len(columns), width_ratios=widths)
    for axes, images, name in zip(
        panels, columns, ["fake", *(f"nearest by {each}" for each in nearest)], strict=True
    ):
        _show(axes, images)
        axes.set_title(name, fontsize="medium")
    return figure


@house_style
def filter_figure(
    filters: Mapping[str, Mosaic], responses: Mapping[str, Mosaic], title: str, note: str
) -> Figure:
    """What networks look for, side by side: their first filters above, strongest responses below.

    Args:
        filters: Network -> its first filters.
        responses: The strongest responses of the same networks.
        title: The title above the figure.
        note: The note below the figure.
    """
    heights = [
        max(_height(each) for each in group.values()) / len(group) for group in (filters, responses)
    ]
    figure = new_figure(sum(heights) + 1.5, title, note)
    panels = figure.subplots(2, len(filters), height_ratios=heights, squeeze=False)
    figure.set_layout_engine(ConstrainedLayoutEngine(h_pad=0.08, wspace=0.05))
    for column, name in enumerate(filters):
        for row, group in enumerate((filters, responses)):
            _show(panels[row, column], group[name])
        panels[0, column].set_title(name)
    return figure


def _show(axes: Axes, images: Mosaic, columns: Sequence[str] = ()) -> None:
    rows, count, height, width, channels = images.shape
    canvas = np.full(
        (rows * (height + _GAP) - _GAP, count * (width + _GAP) - _GAP, channels), 255, np.uint8
    )
    for row in range(rows):
        for column in range(count):
            top, left = row * (height + _GAP), column * (width + _GAP)
            canvas[top : top + height, left : left + width] = images[row, column]
    axes.imshow(canvas.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_yticks([])
    centres = [column * (width + _GAP) + (width - 1) / 2 for column in range(len(columns))]
    axes.set_xticks(centres, columns)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _height(images: Mosaic) -> float:
    """The height in inches of images that take the full width of a figure."""
    rows, columns, height, width, _ = images.shape
    return float(style.WIDTH * rows * (height + _GAP) / (columns * (width + _GAP)))
