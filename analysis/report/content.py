"""The parts of a report, independent of its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from analysis.comparison.tables import Table
from analysis.plots.figure_file import FigureFile
from diagnosis.image_grids import Sides


@dataclass(frozen=True)
class Prose:
    """One paragraph.

    Attributes:
        text: The text, without markup.
        tone: `lead` for the main message, `note` for what may be skipped.
    """

    text: str
    tone: Literal["plain", "lead", "note", "warning"] = "plain"


@dataclass(frozen=True)
class Facts:
    """A list of names and values.

    Attributes:
        rows: Pairs of name and value.
    """

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture and its caption.

    Attributes:
        picture: The figure with its alternative text and data.
        label: A sentence that says what it shows.
    """

    picture: FigureFile
    label: str

    @property
    def caption(self) -> str:
        """The text below it: what it shows, and what its parts mean."""
        return f"{self.label} {self.picture.caption}".strip()


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures that belong together, side by side if there is room.

    Attributes:
        items: In reading order.
    """

    items: tuple[Figure, ...]


@dataclass(frozen=True)
class Panel:
    """The image grids of one run.

    Attributes:
        label: The heading, such as the label of an arm.
        sides: Height and width of one image, in pixels.
        files: Step -> PNG file.
    """

    label: str
    sides: Sides
    files: Mapping[int, Path]


@dataclass(frozen=True)
class Choice:
    """Grids that are shown together.

    Attributes:
        name: Such as `seed 0`.
        panels: One per arm.
        real: A grid of real images to compare with; None if the runs kept none.
    """

    name: str
    panels: tuple[Panel, ...]
    real: Panel | None


@dataclass(frozen=True, eq=False)
class MovingPicture:
    """An animation; left out on paper.

    Attributes:
        name: The name of its file, without extension.
        label: A few words on what it shows.
        alt: One sentence for readers who cannot see it.
        caption: The text below it.
        webp: The animation.
        still: A PNG file, shown to readers who prefer reduced motion.
    """

    name: str
    label: str
    alt: str
    caption: str
    webp: bytes
    still: bytes


@dataclass(frozen=True, eq=False)
class Grids:
    """Image grids during training.

    Attributes:
        caption: What they show, whichever choice is shown.
        steps: The steps to choose from, increasing.
        choices: The runs to choose from.
        still: A figure with a few of the steps, for paper.
        animation: All steps of a single run as an animation; None for several runs.
    """

    caption: str
    steps: tuple[int, ...]
    choices: tuple[Choice, ...]
    still: FigureFile
    animation: MovingPicture | None = None

    @property
    def still_caption(self) -> str:
        """What the figure for paper shows, which has the runs of the first choice."""
        first = self.choices[0]
        runs = "run has" if len(first.panels) == 1 else "runs have"
        return f"{self.caption} The {runs} {first.name}."


@dataclass(frozen=True)
class Commands:
    """Command lines.

    Attributes:
        lines: The lines to type.
    """

    lines: tuple[str, ...]


Block: TypeAlias = Prose | Facts | Table | Figures | Grids | MovingPicture | Commands


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the report.

    Attributes:
        title: Its heading.
        blocks: Its content.
        folded: Whether a web page shows only the title until it is opened.
    """

    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """A whole report.

    Attributes:
        question: Its title.
        setting: What was compared, on which data.
        sections: The answer first.
    """

    question: str
    setting: Facts
    sections: tuple[Section, ...] = field(default=())

    @property
    def pictures(self) -> list[FigureFile]:
        """All figures, each with a unique name, in reading order."""
        return [picture for picture, _ in self.captioned]

    @property
    def captioned(self) -> list[tuple[FigureFile, str]]:
        """All figures with their captions, in reading order."""
        captioned = []
        for block in (block for section in self.sections for block in section.blocks):
            match block:
                case Figures(items):
                    captioned += [(figure.picture, figure.caption) for figure in items]
                case Grids(still_caption=caption, still=still):
                    captioned.append((still, caption))
        return captioned

    @property
    def animations(self) -> list[MovingPicture]:
        """All animations, in reading order."""
        animations: list[MovingPicture] = []
        for block in (block for section in self.sections for block in section.blocks):
            match block:
                case MovingPicture():
                    animations.append(block)
                case Grids(animation=MovingPicture() as animation):
                    animations.append(animation)
        return animations
