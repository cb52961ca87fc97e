"""Files that are either complete or absent."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tracking.unfinished import unfinished

_RENAMES, _PAUSE_SECONDS = 20, 0.05
"""How often a rename is tried, and the seconds between."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there replaces `path` atomically.

    After an exception `path` is unchanged and the temporary file is deleted. The data is synced
    to the disk before the rename, so that a power cut cannot leave an empty file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished(temporary):
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            _replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    """Rename; Windows refuses it for as long as a reader has `path` open."""
    for _ in range(_RENAMES - 1):
        try:
            temporary.replace(path)
        except PermissionError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    temporary.replace(path)


def remove_stale_temporaries(folder: Path) -> None:
    """Delete the files below `folder` that processes killed within `atomic_write` left."""
    for temporary in folder.rglob(".*.tmp"):
        process = temporary.suffixes[-2].removeprefix(".")
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            temporary.unlink(missing_ok=True)
