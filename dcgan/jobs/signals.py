"""Signals as requests to stop instead of immediate termination."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests(catch_repeats: bool = False) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT or SIGTERM has been received.

    A second signal raises KeyboardInterrupt or ends the process, unless `catch_repeats` is set, as
    for `torchrun`, which forwards signals that the terminal has already sent to its processes.
    Only the main thread receives signals: in other threads the function returns False.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    previous_handlers = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)

    def request(_number: int, _frame: FrameType | None) -> None:
        requested.set()
        if not catch_repeats:
            restore()

    for number in signals:
        signal.signal(number, request)
    try:
        yield requested.is_set
    finally:
        restore()


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let the first signal within `stop_requests` raise KeyboardInterrupt, and be noted as well.

    For work that takes long, looks at no request, and can be repeated. SIGTERM too, because who
    sends it, such as `torchrun`, kills the process soon after.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noting = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def end(number: int, frame: FrameType | None) -> None:
        restore()  # first, so that a repeated signal does not end what the first one unwinds
        handler = noting[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)
        raise KeyboardInterrupt

    def restore() -> None:
        for number, handler in noting.items():
            if signal.getsignal(number) is end:
                signal.signal(number, handler)

    for number, handler in noting.items():
        if callable(handler):
            signal.signal(number, end)
    try:
        yield
    finally:
        restore()


@contextmanager
def unwind_on_termination() -> Iterator[None]:
    """Let SIGTERM, and the signal of a closed terminal, unwind the main thread as Ctrl-C does.

    By default they end Python at once, and leave processes running that it started.
    """
    names = (
        "SIGTERM",
        "SIGHUP",
        "SIGBREAK",
    )  # SIGHUP exists only on Unix, SIGBREAK only on Windows
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]

    def unwind(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    previous_handlers = {number: signal.signal(number, unwind) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
