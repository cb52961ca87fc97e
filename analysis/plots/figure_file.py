"""A figure together with what a page needs beside it: its name, one sentence, its numbers."""

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
    """name: of its files, without an ending. alt: one plain sentence for who cannot see it.

    data: the numbers that are drawn, one row a point.
    """

    figure: Figure
    name: str
    alt: str
    data: pd.DataFrame


def as_png(picture: FigureFile) -> bytes:
    """The file, with the sentence in its metadata and neither a date nor random ids."""
    buffer = io.BytesIO()
    picture.figure.savefig(
        buffer,
        format="png",
        dpi=style.DOTS_PER_INCH,
        metadata={"Description": picture.alt, "Software": None},
    )
    return buffer.getvalue()


def as_svg(picture: FigureFile) -> bytes:
    """The file, with the sentence in its metadata and neither a date nor random ids."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": picture.name}):
        picture.figure.savefig(
            buffer,
            format="svg",
            metadata={"Title": picture.name, "Description": picture.alt, "Date": None},
        )
    return buffer.getvalue()


def save(picture: FigureFile, folder: Path) -> list[Path]:
    """Write <name>.png, <name>.svg and <name>.csv into `folder`, which is made where it lacks.

    Each file is whole or not there.
    Returns the three paths in this order. Raises OSError where `folder` cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg, csv = (folder / f"{picture.name}.{ending}" for ending in ("png", "svg", "csv"))
    with atomic_write(png) as temporary:
        temporary.write_bytes(as_png(picture))
    with atomic_write(svg) as temporary:
        temporary.write_bytes(as_svg(picture))
    with atomic_write(csv) as temporary:
        picture.data.to_csv(temporary, index=False)
    return [png, svg, csv]
