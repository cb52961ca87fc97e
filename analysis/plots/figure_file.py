"""A figure with its name, alternative text and numbers, and its files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import style
from tracking.atomic_files import atomic_write


@dataclass(frozen=True, eq=False)
class FigureFile:
    """A figure and what a page needs with it.

    Attributes:
        figure: What is drawn.
        name: Of its files, without extension.
        alt: One sentence for readers who cannot see it.
        data: The numbers that are drawn, one row per point.
    """

    figure: Figure
    name: str
    alt: str
    data: pd.DataFrame


def as_png(picture: FigureFile) -> bytes:
    """The file with the alternative text in its metadata, without a date or random ids."""
    buffer = io.BytesIO()
    picture.figure.savefig(
        buffer,
        format="png",
        dpi=style.DOTS_PER_INCH,
        metadata={"Description": picture.alt, "Software": None},
    )
    return buffer.getvalue()


def as_svg(picture: FigureFile) -> bytes:
    """The file with the alternative text in its metadata, without a date or random ids."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": picture.name}):
        picture.figure.savefig(
            buffer,
            format="svg",
            metadata={"Title": picture.name, "Description": picture.alt, "Date": None},
        )
    return buffer.getvalue()


def save(picture: FigureFile, folder: Path) -> list[Path]:
    """Write <name>.png, <name>.svg and <name>.csv into `folder`, which is created if missing.

    No file is left incomplete. Returns the three paths in this order; raises OSError if `folder`
    cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg, csv = (folder / f"{picture.name}.{extension}" for extension in ("png", "svg", "csv"))
    with atomic_write(png) as temporary:
        temporary.write_bytes(as_png(picture))
    with atomic_write(svg) as temporary:
        temporary.write_bytes(as_svg(picture))
    with atomic_write(csv) as temporary:
        picture.data.to_csv(temporary, index=False)
    return [png, svg, csv]
