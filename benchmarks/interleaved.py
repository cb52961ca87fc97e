"""Measures two sides in alternating blocks of steps, each side in its own process."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeAlias

WARM_UP = 3
"""Steps of each side before the first block."""

Side: TypeAlias = Callable[..., None]
"""Called with its arguments and a pipe: trains, calls `block_timer(pipe)` after each step, and
finally sends its `peak_memory()`."""


@dataclass(frozen=True)
class InterleavedTimings:
    """What was measured of two sides.

    Attributes:
        seconds: Per step, of both sides in neighbouring blocks.
        peaks: Peak memory of both sides, in MiB.
    """

    seconds: list[tuple[float, float]]
    peaks: tuple[float, float]

    @property
    def medians(self) -> tuple[float, float]:
        """Seconds per step of each side."""
        first, second = zip(*self.seconds, strict=True)
        return statistics.median(first), statistics.median(second)

    @property
    def ratios(self) -> list[float]:
        """How many times as long the first side took, for each pair of blocks."""
        return [first / second for first, second in self.seconds]


def interleave(
    sides: tuple[Side, Side], arguments: tuple[str, ...], pairs: int, steps: int
) -> InterleavedTimings:
    """Time two sides in alternating blocks: one side waits while the other works.

    Args:
        sides: Functions that train, each run in its own process.
        arguments: Passed to both.
        pairs: Number of blocks of each side.
        steps: Steps per block.
    """
    context = get_context("spawn")
    running = []
    for side in sides:
        pipe, pipe_of_side = context.Pipe()
        process = context.Process(target=side, args=(*arguments, pipe_of_side))
        process.start()
        pipe_of_side.close()
        running.append((process, pipe))

    def block(pipe: Connection, count: int) -> float:
        """Seconds per step of a block."""
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
    """A function to call after each step, which returns whether to stop.

    It receives the sizes of blocks from the pipe and sends the seconds that each block took.
    The first step belongs to no block; a block of 0 steps ends the training.
    """
    remaining, start = 0, 0.0

    def stopping() -> bool:
        nonlocal remaining, start
        remaining -= 1
        if remaining > 0:
            return False
        if remaining == 0:
            _wait_for_cuda()
            pipe.send(time.perf_counter() - start)
        remaining = pipe.recv()
        start = time.perf_counter()
        return remaining == 0

    return stopping


def _wait_for_cuda() -> None:
    torch = sys.modules.get("torch")  # a side may train without it
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_memory() -> float:
    """Peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
