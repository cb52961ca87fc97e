"""Work on images that is shared among all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import loky

CHUNK = 128
"""Images that a process takes at a time."""

SMALL = 2_000
"""Up to this many images are done at once, without starting processes."""

Result = TypeVar("Result")


def each_chunk(
    function: Callable[..., Result], chunks: Iterable[tuple[Any, ...]], images: int
) -> Iterator[Result]:
    """`function(*chunk)` for every chunk, in order.

    The chunks in flight are bounded, whatever the size of the set. Processes, since resizing
    small images holds the interpreter lock for too much of its time; loky's, since they do
    not import the user's script.
    """
    if images <= SMALL:
        yield from (function(*chunk) for chunk in chunks)
        return
    workers = loky.cpu_count()
    executor = loky.get_reusable_executor(workers)
    waiting: deque[Future[Result]] = deque()
    for chunk in chunks:
        waiting.append(executor.submit(function, *chunk))
        if len(waiting) == 4 * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
