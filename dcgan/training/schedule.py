"""The schedule of a run: its steps, the order of its images, and the work due at a step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dcgan.config.schema import Config
from dcgan.training.state import Seeds


def steps_per_epoch(config: Config, size: int) -> int:
    """Steps of one pass over `size` images; the last batch may be short."""
    return -(-size // (config.training.batch_size * config.training.discriminator_batches))


def total_steps(config: Config, size: int) -> int:
    """Steps of a whole training on `size` images."""
    if config.training.steps is not None:
        return config.training.steps
    return (config.training.epochs or 0) * steps_per_epoch(config, size)


def total_epochs(config: Config, size: int) -> int:
    """Passes of a whole training over `size` images, the last of which may be cut short."""
    return -(-total_steps(config, size) // steps_per_epoch(config, size))


def epoch_order(size: int, seeds: Seeds, epoch: int) -> Tensor:
    """The order of the images in an epoch, which depends only on seed and epoch.

    Args:
        size: Number of images.
        seeds: Only `data_order` is used.
        epoch: Counted from 1.

    Returns:
        A permutation of 0 to `size` - 1, int64 (size,).
    """
    seed = np.random.SeedSequence([seeds.data_order, epoch]).generate_state(1, np.uint64)
    return torch.randperm(size, generator=torch.Generator().manual_seed(int(seed[0])))


def is_due(interval: int, count: int) -> bool:
    """Whether `count` is a multiple of `interval`; an interval of 0 is never due."""
    return interval > 0 and count % interval == 0
