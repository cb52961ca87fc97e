"""The look of an arm in every figure: colour, dashes and marker, and its legend entry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from analysis.comparison.arms import Arm
from analysis.plots.axes import wrapped
from tracking.wording import plural

Dashes: TypeAlias = tuple[float, tuple[float, ...]] | Literal["-"]

# Paul Tol's high-contrast colours come first: they still differ when printed in grey.
_COLOURS = ("#004488", "#bb5566", "#cc9911", "#111111", "#44aacc", "#228833", "#882277")
_DASHES: tuple[Dashes, ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (1.4, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "<", ">", "X")


@dataclass(frozen=True)
class ArmStyle:
    """The look of one arm. Each of the three is enough to distinguish the arms.

    Attributes:
        colour: The colour of lines and markers, `#rrggbb`.
        dashes: A line style of matplotlib.
        marker: A marker of matplotlib.
    """

    colour: str
    dashes: Dashes
    marker: str


def arm_style(position: int) -> ArmStyle:
    """The style of the arm at a position among the arms of a figure, from 0."""
    return ArmStyle(
        _COLOURS[position % len(_COLOURS)],
        _DASHES[position % len(_DASHES)],
        _MARKERS[position % len(_MARKERS)],
    )


def check_arms(arms: Sequence[Arm], runs: Collection[str]) -> None:
    """Refuse arms that a figure cannot show.

    Args:
        arms: The arms of the figure.
        runs: Ids of the runs for which there is something to draw.

    Raises:
        ValueError: A run belongs to no arm, there is nothing to draw for a run of an arm, or two
            labels look the same.
    """
    members = {run for arm in arms for run in arm.runs}
    if missing := sorted(set(runs) - members):
        raise ValueError(f"These runs belong to no arm: {', '.join(missing)}.")
    if missing := sorted(members - set(runs)):
        raise ValueError(f"There is nothing to draw for these runs: {', '.join(missing)}.")
    labels: dict[str, str] = {}
    for arm in arms:
        # Labels that differ only in whitespace look the same in a legend.
        shown = " ".join(arm.label.split())
        if shown in labels:
            raise ValueError(f"Two arms have the same label: {labels[shown]!r} and {arm.label!r}.")
        labels[shown] = arm.label


def count_of_seeds(arms: Sequence[Arm]) -> str:
    """Such as `5 seeds per arm`, `1 seed`, `3 to 5 seeds per arm`."""
    counts = {len(arm.runs) for arm in arms} or {0}
    least, most = min(counts), max(counts)
    number = f"{least}" if least == most else f"{least} to {most}"
    return f"{number} {'seed' if most == 1 else 'seeds'}{' per arm' if len(arms) > 1 else ''}"


def legend_of_arms(axes: Axes, arms: Sequence[Arm], other_handles: Mapping[str, Artist]) -> None:
    """Put a legend above the title of the first panel: each arm with its seeds, then the others.

    The figure grows by the legend's height, so that many arms do not squash the panels.

    Args:
        axes: The first panel.
        arms: The arms of the figure, in the order that gives them their styles.
        other_handles: Name -> artist, for whatever else is drawn.
    """
    handles: list[Artist] = [
        Line2D([], [], color=style.colour, linestyle=style.dashes, marker=style.marker,
               markersize=4.5)
        for style in map(arm_style, range(len(arms)))
    ]  # fmt: skip
    names = [f"{wrapped(arm.label, 44)} ({plural(len(arm.runs), 'seed')})" for arm in arms]
    handles += other_handles.values()
    names += other_handles
    if not handles:
        return
    widest = max(len(line) for name in names for line in name.splitlines())
    columns = max(1, min(len(names), 88 // (widest + 9)))
    lines = -(-len(names) // columns) * max(len(name.splitlines()) for name in names)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + 0.19 * lines)
    above_title = ScaledTranslation(0, 23 / 72, figure.dpi_scale_trans)
    legend = axes.legend(
        handles,
        [str(position) for position in range(len(names))],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        bbox_transform=axes.transAxes + above_title,
        ncols=columns,
        columnspacing=1.6,
        handlelength=3.4,
        borderaxespad=0,
        borderpad=0,
    )
    # Set afterwards: matplotlib drops labels that begin with an underscore.
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
