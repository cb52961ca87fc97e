"""Images from a generator, and grids of images."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.utils import make_grid

from dcgan.config.schema import Network
from dcgan.data.scaling import to_uint8
from tracking.events import GRID_PADDING

BatchNormMode: TypeAlias = Literal["train", "eval"]
"""Whether batch norm uses the statistics of the batch at hand, or those it has learnt."""


Weights: TypeAlias = Literal["current", "ema"]
"""G as the last step left it, or its moving average."""


_BATCH = 256


def draw_latents(count: int, network: Network, rng: torch.Generator) -> Tensor:
    """Latent vectors (count, latent_size, 1, 1) from N(0, 1) or U[-1, 1], on `source`'s device."""
    shape = (count, network.latent_size, 1, 1)
    if network.latent_law == "uniform":
        return torch.rand(shape, generator=rng, device=rng.device) * 2 - 1
    return torch.randn(shape, generator=rng, device=rng.device)


@torch.no_grad()
def generate(generator: nn.Module, latents: Tensor, mode: BatchNormMode) -> Tensor:
    """G(latents): (N, latent_size, 1, 1) to images (N, C, H, W) in [-1, 1].

    G is left as it was: looking at a generator in training must not change it.
    """
    was_training = generator.training
    buffers = [(buffer, buffer.clone()) for buffer in generator.buffers()]
    generator.train(mode == "train")
    try:
        images: Tensor = generator(latents)
    finally:
        generator.train(was_training)
        for buffer, before in buffers:
            buffer.copy_(before)
    return images


def draw_pixels(
    generator: nn.Module, network: Network, device: torch.device, count: int, seed: int
) -> Tensor:
    """uint8 images (count, C, H, W) on the CPU, batch norm as G has learnt it.

    G is on `device`; the latents come from `seed` and do not depend on it.
    """
    source = torch.Generator().manual_seed(seed)
    batches = (min(_BATCH, count - start) for start in range(0, count, _BATCH))
    made = [
        generate(generator, draw_latents(size, network, source).to(device), "eval").cpu()
        for size in batches
    ]
    return to_uint8(torch.cat(made))


def image_grid(images: Tensor) -> npt.NDArray[np.uint8]:
    """Images (N, C, H, W) in [-1, 1] as one uint8 picture (H, W, C), nearly square."""
    columns = round(len(images) ** 0.5)
    grid = make_grid(
        images.float(), nrow=columns, padding=GRID_PADDING, normalize=True, value_range=(-1, 1)
    )
    pixels = grid.mul(255).round().to(torch.uint8).permute(1, 2, 0)
    channels = images.shape[1]  # make_grid turns grey into RGB
    return np.ascontiguousarray(pixels[:, :, :channels].cpu().numpy())
