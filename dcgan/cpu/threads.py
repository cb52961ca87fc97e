"""The number of threads with which PyTorch computes one operation on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread_per_operation() -> Iterator[None]:
    """Let each operation run on one thread, also in threads that start within; also a decorator.

    Sums over several threads are rounded differently from one number of threads to another.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
