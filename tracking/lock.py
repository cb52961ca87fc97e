"""One writer per run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from tracking.errors import StoreError


@contextmanager
def locked(folder: Path, patience: float = 2.0) -> Iterator[None]:
    """Lock a run for writing; the operating system unlocks it if the process dies.

    `patience` is how many seconds to wait for the lock, since `is_locked` holds it for an
    instant. Raises StoreError if another process holds it.
    """
    lock = filelock.FileLock(folder / "lock", timeout=patience)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise StoreError(f"The run {folder.name} is being written by another process.") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a living process writes the run; also true if that cannot be found out."""
    try:
        with locked(folder, patience=0):
            return False
    except (StoreError, OSError):
        return True
