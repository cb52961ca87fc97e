"""A figure with its name, alternative text and data, and the files made from it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import style
from tracking.atomic_files import atomic_write


@dataclass(frozen=True, eq=False)
class FigureFile:
    """A figure with what a page needs besides. Each file format is rendered once.

    Attributes:
        figure: The figure.
        name: The name of its files, without extension.
        alt: One sentence for readers who cannot see it.
        data: The numbers that are drawn, one row per point.
    """

    figure: Figure
    name: str
    alt: str
    data: pd.DataFrame

    @property
    def caption(self) -> str:
        """The caption, which explains the parts of the figure."""
        return style.caption_of(self.figure)

    @cached_property
    def png(self) -> bytes:
        """The file, with the alternative text in its metadata; free of dates and random ids."""
        buffer = io.BytesIO()
        self.figure.savefig(
            buffer,
            format="png",
            dpi=style.DOTS_PER_INCH,
            metadata={"Description": self.alt, "Software": None},
        )
        return buffer.getvalue()

    @cached_property
    def svg(self) -> bytes:
        """The file, with the alternative text in its metadata; free of dates and random ids."""
        metadata = {"Title": self.name, "Description": self.alt, "Date": None}
        return self._vectors("svg", metadata)

    @cached_property
    def pdf(self) -> bytes:
        """The file for LaTeX, with the alternative text in its metadata; free of dates."""
        metadata = {"Title": self.name, "Subject": self.alt, "CreationDate": None}
        return self._vectors("pdf", metadata)

    def _vectors(self, format: str, metadata: dict[str, str | None]) -> bytes:
        buffer = io.BytesIO()
        with style.vector_text(self.name):
            self.figure.savefig(buffer, format=format, metadata=metadata)
        return buffer.getvalue()


def save(picture: FigureFile, folder: Path) -> list[Path]:
    """Write <name>.png, .svg, .pdf and .csv into `folder`, which is created if missing.

    No file is left incomplete. Returns the four paths in this order; raises OSError if `folder`
    cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"png": picture.png, "svg": picture.svg, "pdf": picture.pdf}
    files = [folder / f"{picture.name}.{extension}" for extension in (*contents, "csv")]
    for file, content in zip(files, contents.values(), strict=False):
        with atomic_write(file) as temporary:
            temporary.write_bytes(content)
    with atomic_write(files[-1]) as temporary:
        picture.data.to_csv(temporary, index=False)
    return files


def save_captions(captions: Mapping[str, str], notes: Sequence[str], folder: Path) -> Path:
    """Write captions.txt beside the figures, whose files do not include their captions.

    Args:
        captions: Name of a figure -> its caption.
        notes: Paragraphs that hold for all figures.
        folder: The folder of the figures.

    Returns:
        The file. Raises OSError if it cannot be written.
    """
    file = folder / "captions.txt"
    parts = [*notes, *(f"{name}: {caption}" for name, caption in captions.items())]
    with atomic_write(file) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return file
