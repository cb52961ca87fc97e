"""Files and folders that are either complete or absent."""

from __future__ import annotations

import glob
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tracking.errors import not_written
from tracking.unfinished import unfinished

_RENAMES, _PAUSE_SECONDS = 20, 0.05
"""How often a rename is tried, and the seconds between two tries."""


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


@contextmanager
def write_output(path: Path) -> Iterator[Path]:
    """`atomic_write` to a file that the user has named, whose folder is made if it is missing.

    Raises StoreError if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            yield temporary
    except OSError as error:
        raise not_written(path, error) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which becomes `path` when all is written.

    After an exception it is deleted, and so are those of processes that were killed. `path` may be
    an empty folder; unlike `atomic_write`, this does not sync the files, which may be many.

    Raises OSError if `path` is not empty or cannot be written.
    """
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if stale.is_dir() and _is_of_dead_process(stale):
            shutil.rmtree(stale, ignore_errors=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # In a container, a process that was killed may have had the number of this one.
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.is_dir():
            path.rmdir()  # raises if it is not empty
        _replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
    """Delete what processes that were killed while they wrote files or folders left."""
    for temporary in list(folder.rglob(".*.tmp")):
        if not _is_of_dead_process(temporary):
            continue
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _is_of_dead_process(temporary: Path) -> bool:
    process = temporary.name.removesuffix(".tmp").rpartition(".")[2]
    return process.isdecimal() and not psutil.pid_exists(int(process))
