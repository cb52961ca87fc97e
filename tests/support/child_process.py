"""A process of a test's own, with a connection to talk to it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

_SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def child_process(
    target: Callable[[Path, Connection], None],
    folder: Path,
    context: SpawnContext | ForkServerContext = _SPAWN,
) -> Iterator[tuple[BaseProcess, Connection]]:
    """Run `target(folder, connection)` in a process that is killed when the context ends."""
    ours, theirs = context.Pipe()
    child = context.Process(target=target, args=(folder, theirs))
    child.start()
    theirs.close()  # so that waiting for a dead process raises
    try:
        yield child, ours
    finally:
        child.kill()
        child.join()
