"""Spreads work on images over all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import loky
from loky.process_executor import BrokenProcessPool

from dcgan.data.image_set import DataError

CHUNK = 128
"""Images per task of a process."""

SERIAL_LIMIT = 2_000
"""Up to this many images are processed in this process, without starting others."""

Result = TypeVar("Result")


def map_chunks(
    function: Callable[..., Result], chunks: Iterable[tuple[Any, ...]], images: int
) -> Iterator[Result]:
    """Yield `function(*chunk)` for every chunk, in order.

    It uses processes, because resizing small images holds the interpreter lock most of the time,
    and loky's, because these do not import the user's script. The number of chunks in flight is
    bounded, whatever the size of the set.

    Args:
        function: Called in a worker process, which must be able to import it.
        chunks: The arguments of each call.
        images: Number of images in all chunks together.

    Raises:
        DataError: A process died.
    """
    if images <= SERIAL_LIMIT:
        yield from (function(*chunk) for chunk in chunks)
        return
    workers = loky.cpu_count()
    executor = loky.get_reusable_executor(workers)
    pending: deque[Future[Result]] = deque()
    try:
        for chunk in chunks:
            pending.append(executor.submit(function, *chunk))
            if len(pending) == 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "A process that read images died, as when memory runs out or an image crashes the "
            "decoder. Its images are not kept; run the same command again."
        ) from error
