"""Runs that other programs tracked, read only, with paths that runs have here."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from tracking.events import ARTIFACTS

UNMAPPED: Counter[str] = Counter()
"""What this process met in such runs that a journal has no place for: how many of each kind."""


def artifact_path(name: str, paths: set[str]) -> str:
    """The path of a file, which is added to `paths`: its suffix is part of it only if it must.

    Args:
        name: The file's name where it comes from, with its folders.
        paths: The paths of the run's files so far.
    """
    file = PurePosixPath(name)
    path = f"{ARTIFACTS}/{file.with_suffix('')}"
    if path in paths:
        path = f"{path}_{file.suffix.removeprefix('.')}"
    paths.add(path)
    return path
