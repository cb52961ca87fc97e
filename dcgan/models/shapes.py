"""The device on which shapes are traced through a network before training."""

from __future__ import annotations

import torch

from dcgan.config.schema import Config

_SMALL_PIXELS = 2**17
"""Pixels of a batch up to which computing it is faster than importing what `meta` needs."""

_SMALL_WIDTH = 2**14
"""Features times side of the images up to which drawing the weights is faster than that."""


def shape_device(config: Config, count: int) -> torch.device:
    """`meta`, on which nothing is computed; the CPU for small networks and a small batch.

    The first layer on `meta` imports torch.compile's machinery, which takes a second.

    Args:
        config: The recipe, with the size of its images and networks.
        count: Images in the batch.
    """
    height, width = config.dataset.sides
    features = max(config.network.generator_features, config.network.discriminator_features)
    small = (
        count * height * width <= _SMALL_PIXELS and features * max(height, width) <= _SMALL_WIDTH
    )
    return torch.device("cpu" if small else "meta")
