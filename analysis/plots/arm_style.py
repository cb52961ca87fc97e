"""Arms of a comparison: which runs belong together, and how each arm looks in every figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from analysis.plots.axes import wrapped

Dashes: TypeAlias = tuple[float, tuple[float, ...]] | Literal["-"]


# Paul Tol's high-contrast colours first: these still differ where they are printed in grey.
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
    """Runs that differ in the seed alone. runs, seeds: as many, in the order of the seeds.

    Colour, dashes and marker differ from those of every other arm, so that two of the three
    may be lost.
    """

    label: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    colour: str
    dashes: Dashes
    marker: str


def arms_of(
    runs: Iterable[str], arms: Mapping[str, str], seeds: Mapping[str, int]
) -> list[ArmStyle]:
    """The arms of `runs`, in the order in which `arms` names them.

    arms: run id -> label. seeds: run id -> seed.
    Raises ValueError where a run has no label or no seed, where two labels read the same, and
    where an arm has a seed twice, as two arms that were given one label would.
    """
    members: dict[str, list[str]] = {}
    wanted = set(runs)
    if missing := sorted(wanted - arms.keys()):
        raise ValueError(f"These runs belong to no arm: {', '.join(missing)}.")
    if missing := sorted(wanted - seeds.keys()):
        raise ValueError(f"These runs have no seed: {', '.join(missing)}.")
    for run, label in arms.items():
        if run in wanted:
            members.setdefault(label, []).append(run)
    _refuse_equal_labels(members)
    looks = zip(
        itertools.cycle(_COLOURS), itertools.cycle(_DASHES), itertools.cycle(_MARKERS), strict=True
    )
    found = []
    for (label, ids), (colour, dashes, marker) in zip(members.items(), looks, strict=False):
        ids.sort(key=lambda run: seeds[run])
        for first, second in itertools.pairwise(ids):
            if seeds[first] == seeds[second]:
                raise ValueError(
                    f"The arm {label!r} has seed {seeds[first]} twice, in {first} and {second}. "
                    "Are these two arms with the same label?"
                )
        numbers = tuple(seeds[run] for run in ids)
        found.append(ArmStyle(label, tuple(ids), numbers, colour, dashes, marker))
    return found


def count_of_seeds(arms: Sequence[ArmStyle]) -> str:
    """Such as `5 seeds an arm`, `1 seed`, `3 to 5 seeds an arm`."""
    counts = {len(arm.runs) for arm in arms} or {0}
    least, most = min(counts), max(counts)
    number = f"{least}" if least == most else f"{least} to {most}"
    return f"{number} {'seed' if most == 1 else 'seeds'}{' an arm' if len(arms) > 1 else ''}"


def legend_of_arms(axes: Axes, arms: Sequence[ArmStyle], others: Mapping[str, Artist]) -> None:
    """A legend above the title of the first panel: the arms with their seeds, then `others`.

    The figure grows by its height, so that many arms do not squash the panels.
    """
    handles: list[Artist] = [
        Line2D([], [], color=arm.colour, linestyle=arm.dashes, marker=arm.marker, markersize=4.5)
        for arm in arms
    ]
    names = [f"{wrapped(arm.label, 44)} ({_seeds(len(arm.runs))})" for arm in arms]
    handles += others.values()
    names += others
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


def _refuse_equal_labels(labels: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for label in labels:
        # What differs in blanks alone looks the same in a legend.
        read = " ".join(label.split())
        if read in seen:
            raise ValueError(f"Two arms have the same label: {seen[read]!r} and {label!r}.")
        seen[read] = label


def _seeds(count: int) -> str:
    return f"{count} {'seed' if count == 1 else 'seeds'}"
