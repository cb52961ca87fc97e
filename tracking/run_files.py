"""The files in a run's folder, found without following links.

A run may come from elsewhere, and a link in it could point to any file of this machine. Files in
the folder are read, sent to servers and, when a run is rewound, deleted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from tracking.errors import StoreError, warn
from tracking.events import IMAGES, File, Text

_IMAGE_NAME = re.compile(r"[0-9]{8,}\.png")


def run_files(folder: Path, part: str) -> list[Path]:
    """All files below one part of a run's folder, sorted; no hidden ones.

    Args:
        folder: The run's folder.
        part: A folder in it, such as `artifacts`, which need not exist.
    """
    if is_behind_link(folder, Path(part)):
        warn(f"{folder / part} is a link, or lies behind one, and is not read.")
        return []
    paths = sorted((folder / part).rglob("[!.]*"))
    for link in filter(Path.is_symlink, paths):
        warn(f"{link} is a link and is not read.")
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def text_or_file(path: str, file: Path) -> Text | File:
    """A file of a run as an event: a text if its suffix says so and it is valid UTF-8.

    Args:
        path: The path of the text or file.
        file: Where it is.
    """
    if file.suffix == ".txt":
        try:
            return Text(path, file.read_bytes().decode())
        except UnicodeDecodeError:  # such as a file of another program, in an older encoding
            pass
    return File(path, file)


def image_files(folder: Path, path: str = IMAGES) -> dict[tuple[str, int], Path]:
    """The PNG file of each image of a run by the path of its series and its step, sorted.

    Files with names that the journal does not give to images are left out.

    Args:
        folder: The run's folder.
        path: The path of a series, or the beginning of several.
    """
    return {
        (file.parent.relative_to(folder).as_posix(), int(file.stem)): file
        for file in run_files(folder, path)
        if _IMAGE_NAME.fullmatch(file.name)
    }


def is_behind_link(folder: Path, relative: Path) -> bool:
    """Whether a path in a run's folder, or a folder on the way to it, is a link."""
    return any((folder / part).is_symlink() for part in (relative, *relative.parents))


def check_no_link(folder: Path, relative: Path) -> Path:
    """The path in a run's folder; raises StoreError if it is a link or lies behind one."""
    if is_behind_link(folder, relative):
        _refuse(folder / relative)
    return folder / relative


def check_no_links(folder: Path) -> None:
    """Raise StoreError if a run's folder, before it is written to, is a link or contains one."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            _refuse(path)


def _refuse(link: Path) -> NoReturn:
    raise StoreError(
        f"{link} is a link, or lies behind one. Runs are read and written without following "
        "links.\nReplace the link with the file or folder that it points to."
    )
