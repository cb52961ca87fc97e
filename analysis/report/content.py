"""What a report consists of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from analysis.comparison.tables import Table
from analysis.plots.figure_file import FigureFile


@dataclass(frozen=True)
class Prose:
    """One paragraph. tone: `lead` is what one reads first, `note` what one may skip."""

    text: str
    tone: Literal["plain", "lead", "note", "warning"] = "plain"


@dataclass(frozen=True)
class Facts:
    """Names and what is known of each, in order."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture and the words below it."""

    picture: FigureFile
    caption: str


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures that belong together; where there is room they stand side by side."""

    items: tuple[Figure, ...]


@dataclass(frozen=True)
class Panel:
    """Grids of one run. files: PNG by step; image_size: pixels along a side of one image."""

    label: str
    image_size: int
    files: Mapping[int, Path]


@dataclass(frozen=True)
class Choice:
    """What can be seen at a time: a panel an arm, of runs with one seed.

    real: a grid of real images beside them, None where the runs kept none.
    """

    name: str
    panels: tuple[Panel, ...]
    real: Panel | None


@dataclass(frozen=True, eq=False)
class Grids:
    """Images over the steps of a training. still: the same on paper."""

    caption: str
    steps: tuple[int, ...]
    choices: tuple[Choice, ...]
    still: FigureFile


@dataclass(frozen=True)
class Commands:
    """Lines to be typed."""

    lines: tuple[str, ...]


Block: TypeAlias = Prose | Facts | Table | Figures | Grids | Commands


@dataclass(frozen=True, eq=False)
class Section:
    """folded: a page shows its title alone until it is opened."""

    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """question: its title. setting: what was compared, on what. The answer comes first of all."""

    question: str
    setting: Facts
    sections: tuple[Section, ...] = field(default=())

    @property
    def pictures(self) -> list[FigureFile]:
        """All figures, each with a name of its own, in the order in which they are read."""
        found = []
        for block in (block for section in self.sections for block in section.blocks):
            match block:
                case Figures(items):
                    found += [each.picture for each in items]
                case Grids(still=still):
                    found.append(still)
        return found
