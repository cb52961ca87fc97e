"""Readers of runs that other programs tracked; they map names to the paths of our runs."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from tracking.events import ARTIFACTS

UNMAPPED: Counter[str] = Counter()
"""Kind -> how many entries this process has skipped because a journal cannot hold them."""


def artifact_path(name: str, paths: set[str]) -> str:
    """The path of a file, which is added to `paths`; the suffix is kept only where needed.

    A hidden file loses its dot, since hidden files are not read from a journal.

    Args:
        name: The file's name in its store, with folders.
        paths: The paths of the run's files so far.
    """
    file = PurePosixPath(name)
    file = file.with_name(file.name.lstrip(".") or "file")
    path = f"{ARTIFACTS}/{file.with_suffix('')}"
    if path in paths:
        path = f"{path}_{file.suffix.removeprefix('.')}"
    paths.add(path)
    return path
