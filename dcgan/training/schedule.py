"""When things happen: steps, epochs, the order of the images, and what is due."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dcgan.config.schema import Config
from dcgan.training.state import Seeds, Training


def steps_per_epoch(config: Config, size: int) -> int:
    """Steps of one pass over `size` images; the last batch may be short."""
    return -(-size // (config.training.batch_size * config.training.discriminator_batches))


def total_steps(config: Config, size: int) -> int:
    """The steps of a whole run over `size` images."""
    if config.training.steps is not None:
        return config.training.steps
    return (config.training.epochs or 0) * steps_per_epoch(config, size)


def _epoch_order(size: int, seeds: Seeds, epoch: int) -> Tensor:
    """The order of the images in an epoch, a function of seed and epoch alone."""
    seed = np.random.SeedSequence([seeds.data_order, epoch]).generate_state(1, np.uint64)
    return torch.randperm(size, generator=torch.Generator().manual_seed(int(seed[0])))


def _grid_is_due(run: Training, config: Config, epoch_ended: bool) -> bool:
    if config.images.every_epochs is not None:
        return epoch_ended and _every(config.images.every_epochs, run.epoch)
    return _every(config.images.every_steps or 0, run.step)


def _every(interval: int, count: int) -> bool:
    """Whether `count` is a multiple of `interval`; 0 is never."""
    return interval > 0 and count % interval == 0
