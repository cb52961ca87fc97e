"""Batches of images on the training device, gathered one ahead where that takes time."""

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
"""A set up to this size is read into memory whole; of a larger one batches are read ahead."""


@dataclass
class DataWait:
    """How long the training's own thread waited for images."""

    seconds: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def percent(self) -> float:
        """The share of the time since the call before that was waited."""
        now = time.monotonic()
        share = 100 * self.seconds / (now - self.since)
        self.seconds, self.since = 0.0, now
        return share


def to_device_if_it_fits(pixels: Tensor, device: torch.device) -> Tensor:
    """The images where batches of them are at hand at once, if there is room.

    pixels: uint8 (N, C, H, W), perhaps a file that is mapped into memory. On CUDA they may
    take half of the memory that is free, on the CPU `IN_MEMORY_BYTES`; larger sets come back
    as they are.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return pixels.to(device) if pixels.nbytes <= free // 2 else pixels
    return pixels.clone() if pixels.nbytes <= IN_MEMORY_BYTES else pixels


def iterate_batches(
    pixels: Tensor, batches: Iterable[Tensor], device: torch.device, wait: DataWait
) -> Iterator[Tensor]:
    """The images of each batch of indices, uint8 (n, C, H, W), in order, on `device`.

    pixels: as `place` gave them. A thread gathers the next batch while the caller computes,
    unless the images are on `device` already and at hand. wait: takes the time that the
    caller loses here.
    """
    at_hand = pixels.device == device and pixels.nbytes <= IN_MEMORY_BYTES
    if at_hand or device.type == pixels.device.type == "cuda":
        found: Iterator[Tensor] = (pixels[indices] for indices in batches)
    else:
        found = _gathered_ahead(pixels, batches, pin=device.type == "cuda")
    while True:
        began = time.monotonic()
        with record_function("data"):
            images = next(found, None)
            if images is None:
                return
            images = images.to(device, non_blocking=True)
        wait.seconds += time.monotonic() - began
        yield images


def _gathered_ahead(pixels: Tensor, batches: Iterable[Tensor], *, pin: bool) -> Iterator[Tensor]:
    def read(indices: Tensor) -> Tensor:
        images = pixels[indices]
        return images.pin_memory() if pin else images

    with ThreadPoolExecutor(1, "data") as thread:
        waiting: deque[Future[Tensor]] = deque()
        for indices in batches:
            waiting.append(thread.submit(read, indices))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
