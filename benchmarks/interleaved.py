"""Two sides that are measured in turn, each in a process of its own."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeAlias

WARM_UP = 3
"""Steps of each side before the first block."""

Side: TypeAlias = Callable[..., None]
"""Takes its arguments and a pipe; trains, asking `blocks(pipe)` after each step; sends its
`peak_memory()`."""


@dataclass(frozen=True)
class InterleavedTimings:
    """seconds: of a step, of both sides in neighbouring blocks. peaks: of memory, in MiB."""

    seconds: list[tuple[float, float]]
    peaks: tuple[float, float]

    @property
    def medians(self) -> tuple[float, float]:
        """Seconds a step of each side."""
        first, second = zip(*self.seconds, strict=True)
        return statistics.median(first), statistics.median(second)

    @property
    def ratios(self) -> list[float]:
        """How many times as long the first side took, of each pair of blocks."""
        return [first / second for first, second in self.seconds]


def interleave(
    sides: tuple[Side, Side], arguments: tuple[str, ...], pairs: int, steps: int
) -> InterleavedTimings:
    """Blocks of so many steps alternate: one side waits while the other works."""
    context = get_context("spawn")
    running = []
    for side in sides:
        ours, theirs = context.Pipe()
        process = context.Process(target=side, args=(*arguments, theirs))
        process.start()
        theirs.close()
        running.append((process, ours))

    def block(pipe: Connection, count: int) -> float:
        pipe.send(count)
        return float(pipe.recv()) / count

    first, second = (pipe for _, pipe in running)
    for pipe in (first, second):
        block(pipe, WARM_UP)
    seconds = [(block(first, steps), block(second, steps)) for _ in range(pairs)]
    peaks = []
    for process, pipe in running:
        pipe.send(0)
        peaks.append(float(pipe.recv()))
        process.join()
    return InterleavedTimings(seconds, (peaks[0], peaks[1]))


def block_timer(pipe: Connection) -> Callable[[], bool]:
    """Asked after each step: answers each order of so many steps with the seconds they took.

    The step before the first order belongs to none; an order of 0 steps ends the training.
    """
    left, began = 0, 0.0

    def stopping() -> bool:
        nonlocal left, began
        left -= 1
        if left > 0:
            return False
        if left == 0:
            pipe.send(time.perf_counter() - began)
        left = pipe.recv()
        began = time.perf_counter()
        return left == 0

    return stopping


def peak_memory() -> float:
    """Of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
