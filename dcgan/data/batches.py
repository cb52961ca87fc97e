"""Batches of images on the training device, gathered one ahead if that takes time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.profiler import record_function

IN_MEMORY_BYTES = 2**28
"""Sets up to this size are read into memory; from larger ones, batches are read ahead."""

OWN_MEMORY = ("cuda", "xpu")
"""Kinds of device with separate memory, to which pinned memory is copied faster."""


@dataclass
class DataWait:
    """How long the training thread waited for images.

    Attributes:
        seconds: Waited since the last call of `percent`.
        since: When that call was, on the monotonic clock.
    """

    seconds: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def percent(self) -> float:
        """Percentage of the time since the last call that was spent waiting; restarts the count."""
        now = time.monotonic()
        passed = now - self.since
        # Windows' clock may stand still for 16 ms, in which a GPU trains a short epoch.
        percentage = 100 * self.seconds / passed if passed else 0.0
        self.seconds, self.since = 0.0, now
        return percentage


def to_device_if_it_fits(pixels: Tensor, device: torch.device) -> Tensor:
    """Move the whole set to `device` (on the CPU: into RAM) if it fits; else return it unchanged.

    On CUDA and XPU it fits if it takes at most half of the free memory; on the CPU, and where the
    device shares the CPU's memory, if it has at most `IN_MEMORY_BYTES`.

    Args:
        pixels: uint8 (N, C, H, W); may be a memory-mapped file.
        device: Where the training is.
    """
    limit = IN_MEMORY_BYTES
    if device.type in OWN_MEMORY:
        free, _ = gpu_memory(device)
        limit = free // 2
    if pixels.nbytes > limit:
        return pixels
    return pixels.clone() if device.type == "cpu" else pixels.to(device)


def gpu_memory(device: torch.device) -> tuple[int, int]:
    """Free and total bytes of a device of `OWN_MEMORY`.

    Intel's integrated GPUs do not report free memory: there it is what this process does not use.
    """
    module = torch.get_device_module(device)
    try:
        free, total = module.mem_get_info(device)
    except RuntimeError:
        total = module.get_device_properties(device).total_memory
        free = total - module.memory_reserved(device)
    return int(free), int(total)


def iterate_batches(
    pixels: Tensor, batches: Iterable[Tensor], device: torch.device, wait: DataWait
) -> Iterator[Tensor]:
    """Yield the images of each batch of indices, in order, on `device`.

    A thread gathers the next batch while the caller computes, unless the images are already in
    the memory of `device`.

    Args:
        pixels: The images as `to_device_if_it_fits` returned them, uint8 (N, C, H, W).
        batches: Indices into them, int64 (n,) each.
        device: The device for the batches.
        wait: The time for which the caller waits here is added to its `seconds`.

    Yields:
        uint8 (n, C, H, W).
    """
    in_memory = pixels.device == device and pixels.nbytes <= IN_MEMORY_BYTES
    if in_memory or device.type == pixels.device.type != "cpu":
        gathered: Iterator[Tensor] = (pixels[indices] for indices in batches)
    else:
        gathered = _gather_ahead(pixels, batches, pin=device.type in OWN_MEMORY)
    # From unpinned memory, MPS would copy after the memory has been reused for another batch
    # (https://github.com/pytorch/pytorch/issues/189690).
    non_blocking = device.type in OWN_MEMORY
    while True:
        start = time.monotonic()
        with record_function("data"):
            images = next(gathered, None)
            if images is None:
                return
            images = images.to(device, non_blocking=non_blocking)
        wait.seconds += time.monotonic() - start
        yield images


def _gather_ahead(pixels: Tensor, batches: Iterable[Tensor], *, pin: bool) -> Iterator[Tensor]:
    def read(indices: Tensor) -> Tensor:
        images = pixels[indices]
        return images.pin_memory() if pin else images

    with ThreadPoolExecutor(1, "data") as thread:
        pending: deque[Future[Tensor]] = deque()
        for indices in batches:
            pending.append(thread.submit(read, indices))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def some_images(pixels: Tensor, count: int) -> Tensor:
    """Random images of the whole set, always the same ones, in the order of the set.

    The first images of a folder are all of one class, and evenly spaced ones may be too if the
    classes alternate.

    Args:
        pixels: uint8 (N, C, H, W).
        count: The number of images; all if there are fewer.

    Returns:
        uint8 (at most `count`, C, H, W).
    """
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    return pixels[order[:count].sort().values]
