"""Files and runs that this process is writing, so that Ctrl-C does not leave them half-written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED: set[Path] = set()
"""Runs that are locked for writing, and files that will be complete or absent."""


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Note that `path` is being written until the context ends."""
    UNFINISHED.add(path)
    try:
        yield
    finally:
        UNFINISHED.discard(path)
