"""A training that runs out of memory ends with numbers and what to change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from dcgan.config.image_size import size_in_words
from dcgan.config.schema import Config, ConfigError
from dcgan.data.batches import OWN_MEMORY
from dcgan.profiling.step_memory import memory_of, step_cost
from dcgan.training.distributed import World

_OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|STATUS_ALLOC_FAILED", re.IGNORECASE
)
"""What PyTorch's allocators, drivers and cuDNN say; not all of them raise `OutOfMemoryError`."""

_GIB = 2**30


@contextmanager
def explaining_lack_of_memory(config: Config, device: torch.device, world: World) -> Iterator[None]:
    """Turn an allocation that fails into an error that says what took the memory.

    Before a training starts, `check_memory` has compared its steps with the whole memory of the
    device. They may still fail, because others use the device, or because the estimate is too low.

    Args:
        config: The recipe.
        device: Where it trains.
        world: The processes that train together, each on a part of every batch.

    Raises:
        ConfigError: The device ran out of memory.
        Exception: Whatever else the training raises.
    """
    batch = world.images_of(config.training.batch_size)
    needed = step_cost(config).total_bytes(batch)  # which itself takes memory
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        held, by_others = _memory_held(device)
        raise ConfigError(
            f"{device} ran out of memory: this training held {held / _GIB:.1f} GiB of it, and "
            f"other programs and the driver {by_others / _GIB:.1f}.\n"
            f"By its shapes a step of {batch:,} images of "
            f"{size_in_words(config.dataset.image_size)} takes about {needed / _GIB:.1f} GiB. "
            "Train beside fewer other programs, or start a run with a smaller training.batch_size."
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is too little memory, on any kind of device."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))
    )


def _memory_held(device: torch.device) -> tuple[int, int]:
    """Bytes of a device's memory, or of RAM, that this process holds, and that others hold."""
    free, total = memory_of(device)
    if device.type in OWN_MEMORY:
        own = int(torch.get_device_module(device).memory_reserved(device))
    else:
        own = psutil.Process().memory_info().rss
    return own, max(0, total - free - own)
