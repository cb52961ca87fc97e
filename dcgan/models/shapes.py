"""Both networks with inputs of their shapes, through which shapes are traced before training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dcgan.config.schema import Config
from dcgan.models import build_networks

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


def networks_and_inputs(
    config: Config, count: int, device: torch.device | None = None
) -> tuple[tuple[nn.Module, Tensor], tuple[nn.Module, Tensor]]:
    """G and D of a recipe, each with a batch of zeros of its input's shape.

    Args:
        config: The recipe.
        count: Images in the batch, N.
        device: Where they are; `shape_device` if omitted.

    Returns:
        G with latents, (N, latent_size, 1, 1), and D with images, (N, C, H, W).
    """
    with device or shape_device(config, count):
        generator, discriminator = build_networks(config, seed=0)
        latents = torch.zeros(count, config.network.latent_size, 1, 1)
        images = torch.zeros(count, config.dataset.channels, *config.dataset.sides)
    return (generator, latents), (discriminator, images)
