"""Locks that allow one writer per run, and any number of readers, who write nothing."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import filelock

from tracking.errors import StoreError
from tracking.unfinished import unfinished

_PATIENCE_SECONDS, _POLL_SECONDS = 0.5, 0.01
"""A reader blocks a writer for the instant of its check; several readers may do so in turn."""

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)

_WRITER, _TRAINING = "lock", "training-lock"


@contextmanager
def locked(
    folder: Path, patience: float = _PATIENCE_SECONDS, *, training: bool = False
) -> Iterator[None]:
    """Lock a run for writing; the operating system unlocks it if the process dies.

    Args:
        folder: The run's folder.
        patience: How many seconds to wait for the lock.
        training: Whether the process trains the run, which is `running` as long as it is locked.

    Raises:
        StoreError: Another process holds the lock, or the run is read-only.
    """
    try:
        with ExitStack() as locks:
            for name in (_WRITER, _TRAINING) if training else (_WRITER,):
                lock = filelock.FileLock(folder / name, patience, poll_interval=_POLL_SECONDS)
                locks.enter_context(lock)
            acquired = locks.pop_all()
    except filelock.Timeout as error:
        raise _written_by_another(folder) from error
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        raise _read_only(folder, str(error.strerror)) from error
    with acquired, unfinished(folder):
        yield


def check_writable(folder: Path, patience: float = _PATIENCE_SECONDS) -> None:
    """Check that a run takes values, before the work whose result it shall hold.

    Args:
        folder: The run's folder.
        patience: How many seconds to wait for the end of a short command, such as dcgan tag.

    Raises:
        StoreError: The run is read-only, or another process writes it.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _read_only(folder, "there is no permission")
    until = time.monotonic() + patience
    while is_locked(folder):
        if time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        elif is_trained(folder):
            raise StoreError(
                f"The run {folder.name} is being trained, and takes no other values meanwhile.\n"
                "Run the same command again when its training has ended."
            )
        else:
            raise _written_by_another(folder)


def _written_by_another(folder: Path) -> StoreError:
    return StoreError(f"The run {folder.name} is being written by another process.")


def _read_only(folder: Path, reason: str) -> StoreError:
    return StoreError(
        f"The run {folder.name} cannot be written to: {reason} ({folder}).\n"
        "Copy its store to a folder of your own, and name that with --store."
    )


def is_locked(folder: Path) -> bool:
    """Whether a living process writes the run; also true if that cannot be determined."""
    try:
        return _is_held(folder / _WRITER)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def is_trained(folder: Path) -> bool:
    """Whether a living process trains the run; also true if that cannot be determined.

    A process that tags or sends a killed run locks it as well, but does not train it.
    """
    try:
        return _is_held(folder / _TRAINING)
    except FileNotFoundError:  # an import, or a training by an older version
        return is_locked(folder)
    except OSError:
        return True


if sys.platform == "win32":  # it has no shared locks

    def _is_held(file: Path) -> bool:
        if not file.exists():
            return False
        try:
            with filelock.FileLock(file, timeout=0):
                return False
        except filelock.Timeout:
            return True

else:

    def _is_held(file: Path) -> bool:
        """Try the lock of `filelock` in shared mode, in which readers do not block each other."""
        import fcntl

        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)  # this releases the lock
