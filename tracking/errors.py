"""Errors that the user can fix, and warnings about data that is left out."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Its message tells the user what is wrong, where, and how to correct it."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows the error by this method, without a traceback, which would not help."""
        return [f"{type(self).__name__}: {self}"]


class StoreError(UserError):
    """A store that cannot be used, or a run that cannot be found."""


def reason_not_written(path: Path, error: OSError) -> str:
    """Why a file or a folder could not be written, where its folder is made if it is missing."""
    nearest = next(each for each in path.absolute().parents if each.exists())
    if not nearest.is_dir():
        return f"{nearest} is not a folder"
    if error.errno == errno.ENOENT:
        return f"no folder can be made in {nearest}"
    return error.strerror or str(error)


def not_written(
    path: Path, error: OSError, instead: str = "Choose another place with -o."
) -> StoreError:
    """The error of a file or a folder that could not be written.

    Args:
        path: What the user wanted to have written.
        error: Why it was not.
        instead: What would be right.
    """
    return StoreError(f"{path} cannot be written: {reason_not_written(path, error)}.\n{instead}")


class ServerError(UserError):
    """A server that cannot be started, has ended, or does not answer."""


class StoreWarning(UserWarning):
    """Part of a store is damaged and left out; the rest is read."""


def warn(message: str) -> None:
    """Warn that part of a store is left out; the command line prints each warning once."""
    warnings.warn(message, StoreWarning, stacklevel=2)


@contextmanager
def leaving_out(part: str) -> Iterator[None]:
    """Warn that part of a store is left out, and why, if reading it fails.

    Files of other programs can be damaged in any way, on which libraries raise any exception.
    """
    try:
        yield
    except Exception as error:
        reason = str(error).partition("\n")[0][:300] or type(error).__name__
        warn(f"{part} is left out: {reason}")
