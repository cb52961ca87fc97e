"""Signals as polite requests."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests(patient: bool = False) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGINT or SIGTERM has come.

    The second one is not caught: KeyboardInterrupt, or the end of the process. Outside
    the main thread, where no signal arrives, the function is always False.
    patient: catch them all, for `torchrun` passes on what the terminal has sent already.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(_number: int, _frame: FrameType | None) -> None:
        requested.set()
        if not patient:
            restore()

    for number in signals:
        signal.signal(number, request)
    try:
        yield requested.is_set
    finally:
        restore()


@contextmanager
def termination_leaves_contexts() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a closed terminal, unwind the main thread like Ctrl-C.

    By default they end Python on the spot, and what it had started would stay behind.
    """
    signals = (signal.SIGTERM, signal.SIGHUP)

    def unwind(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, unwind) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
