"""Checks that an output file can be written, before the work that produces it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

import typer

PIL_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
"""File extension of a picture -> Pillow's name of its format."""

FIGURE_FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".pdf": "pdf", ".svg": "svg"}
"""File extension of a figure -> Matplotlib's name of its format."""


def file_with_extension(extensions: Collection[str]) -> Callable[[Path | None], Path | None]:
    """An option's callback that checks a file's extension, and that it can be written."""

    def check(path: Path | None) -> Path | None:
        if path is not None:
            if path.suffix.lower() not in extensions:
                raise typer.BadParameter(
                    f"{path}: the file extension sets the format; choose {', '.join(extensions)}."
                )
            check_output_file(path)
        return path

    return check


def check_output_file(path: Path | None) -> Path | None:
    """Return a file's path if it can be written; raises typer.BadParameter if not."""
    if path is not None:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder. Give the name of a file in it.")
        check_output_folder(path.parent)
    return path


def check_output_folder(folder: Path | None) -> Path | None:
    """Return a folder's path if it exists or can be made; raises typer.BadParameter if not."""
    if folder is not None:
        nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        if not nearest.is_dir():
            raise typer.BadParameter(
                f"{folder} cannot be written: {nearest} is not a folder. Choose another."
            )
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise typer.BadParameter(
                f"{folder} cannot be written: there is no permission in {nearest}. Choose another."
            )
    return folder
