"""One writer a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from tracking.errors import StoreError


@contextmanager
def locked(folder: Path, patience: float = 2.0) -> Iterator[None]:
    """Hold a run for writing; the operating system lets go when the process dies.

    patience: seconds to wait, since a look by `is_locked` holds the lock for an instant.
    Raises StoreError where another process holds it.
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
    """Whether a living process writes the run; also true where one cannot tell."""
    try:
        with locked(folder, patience=0):
            return False
    except (StoreError, OSError):
        return True
