"""The style of every figure: plain, and each colour has one meaning.

Figures are made with `matplotlib.figure.Figure`, not pyplot, so they need no display and need not
be closed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import ScaledTranslation

from analysis.plots.fonts import fallback_fonts
from analysis.plots.inline import show_figures_inline

_COLORBLIND = sns.color_palette("colorblind").as_hex()

GENERATOR = _COLORBLIND[0]  # blue
DISCRIMINATOR = _COLORBLIND[3]  # vermilion
REAL = _COLORBLIND[2]  # green
FAKE = _COLORBLIND[4]  # purple
FAKE_AFTERWARDS = "#333333"
REFERENCE = "#666666"

WIDTH = 7.0
"""The width of text on a page, in inches."""

_LINE_LETTERS, _KEY_LETTERS = 88, 6
"""Characters of a legend that fit in this width, and those that an entry's handle takes up."""

_SETTINGS = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper", font_scale=1.05),
    "axes.formatter.use_mathtext": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": ["sans-serif", *fallback_fonts()],
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
}
DOTS_PER_INCH = 200


def vector_text(name: str) -> AbstractContextManager[None]:
    """Settings for vector files: text stays text; PDFs embed its TrueType font.

    name: The figure's name, from which the ids in an SVG file are derived.
    """
    return mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": name})


house_style = mpl.rc_context(_SETTINGS)
"""Decorator for functions that draw."""


def new_figure(height: float, title: str, caption: str) -> Figure:
    """An empty figure of the common width.

    Args:
        height: In inches.
        title: The title above the figure; may be empty.
        caption: Explains the parts of the figure. It is not drawn into the figure: pages print it
            beside, so that it does not shrink with the figure.
    """
    show_figures_inline()
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(h_pad=0.08))
    if title:
        # A title is not a formula: `$` stays a dollar sign.
        text = textwrap.fill(title, width=80)
        figure.suptitle(text, x=0.01, ha="left", fontsize="x-large", parse_math=False)
    figure.set_label(caption)
    return figure


def caption_of(figure: Figure) -> str:
    """The caption that was passed to `new_figure`."""
    return str(figure.get_label())


def draw_caption(figure: Figure) -> None:
    """Draw the caption below a figure that is shown alone, such as one among a run's images."""
    note = textwrap.fill(caption_of(figure), width=112)
    # It may name classes of a user, such as `$5`, which are no formulas either.
    figure.supxlabel(note, x=0.01, ha="left", fontsize="small", color=REFERENCE, parse_math=False)


def legend_above(axes: Axes) -> None:
    """Put a legend beside the title of the axes, or above it if both do not fit in one line.

    In either place it covers no curves.
    """
    handles, labels = axes.get_legend_handles_labels()
    title = 1.2 * len(axes.get_title(loc="left"))  # its font is larger
    if title + sum(len(label) + _KEY_LETTERS for label in labels) > _LINE_LETTERS:
        _legend_above_title(axes, labels)
    elif handles:
        legend = axes.legend(
            handles,
            labels,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(handles),
            borderaxespad=0.2,
            columnspacing=1.2,
            handlelength=1.6,
        )
        # A long legend must not make the axes narrower.
        legend.set_in_layout(False)


def _legend_above_title(axes: Axes, labels: Sequence[str]) -> None:
    widest = max(map(len, labels)) + _KEY_LETTERS
    columns = max(1, min(len(labels), _LINE_LETTERS // widest))
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + 0.19 * -(-len(labels) // columns))
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        bbox_transform=axes.transAxes + ScaledTranslation(0, 23 / 72, figure.dpi_scale_trans),
        ncols=columns,
        columnspacing=1.2,
        handlelength=1.6,
        borderaxespad=0,
        borderpad=0,
    )


def annotate_empty(axes: Axes) -> None:
    """Note in empty axes that there is no finite value."""
    axes.set_yticks([])
    axes.text(
        0.5,
        0.5,
        "no finite value",
        transform=axes.transAxes,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none"},
        zorder=5,
    )
