"""Images from a generator, and grids of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dcgan.choices import BatchNormMode
from dcgan.config.schema import Network
from dcgan.data.scaling import to_uint8
from tracking.errors import UserError
from tracking.events import GRID_PADDING

BATCH = 64
"""Latents per batch of new images, a multiple of the 16 numbers that PyTorch draws at a time.

Every batch is full, so that no pixel depends on how many images are drawn.
"""


class GenerationError(UserError):
    """A generator whose images are not finite, as after a training that diverged."""


def draw_latents(count: int, network: Network, rng: torch.Generator) -> Tensor:
    """Draw latents from N(0, 1) or U[-1, 1], as `network.latent_law` says.

    Args:
        count: Number of latents.
        network: Gives their size and distribution.
        rng: Draws them, on its own device.

    Returns:
        Latents (count, latent_size, 1, 1) on the device of `rng`.
    """
    shape = (count, network.latent_size, 1, 1)
    if network.latent_law == "uniform":
        return torch.rand(shape, generator=rng, device=rng.device) * 2 - 1
    return torch.randn(shape, generator=rng, device=rng.device)


@torch.no_grad()
def generate(generator: nn.Module, latents: Tensor, mode: BatchNormMode) -> Tensor:
    """Compute G's images without changing G, so that drawing a grid leaves the training as it is.

    Args:
        generator: G; its mode and its buffers are restored afterwards.
        latents: (N, latent_size, 1, 1), on G's device.
        mode: Batch norm by the statistics of these latents' batch (`train`) or by its running
            statistics (`eval`).

    Returns:
        Images (N, C, H, W) in [-1, 1], on G's device.
    """
    was_training = generator.training
    saved_buffers = [(buffer, buffer.clone()) for buffer in generator.buffers()]
    generator.train(mode == "train")
    try:
        images: Tensor = generator(latents)
    finally:
        generator.train(was_training)
        for buffer, saved in saved_buffers:
            buffer.copy_(saved)
    return images


def seeded_batches(count: int, network: Network, seed: int) -> Iterator[Tensor]:
    """Draw the first latents of a seed. The k-th is the same however many are drawn.

    Args:
        count: Number of latents; the last batch is filled up with the ones that follow.
        network: Gives their size and distribution.
        seed: The seed of the latents.

    Yields:
        Latents (BATCH, latent_size, 1, 1) on the CPU.
    """
    rng = torch.Generator().manual_seed(seed)
    for _ in range(0, count, BATCH):
        yield draw_latents(BATCH, network, rng)


def draw_pixels(
    generator: nn.Module, network: Network, device: torch.device, count: int, seed: int
) -> Tensor:
    """Draw images from G, with batch norm by its running statistics.

    Args:
        generator: G, on `device`.
        network: Gives the size and distribution of the latents.
        device: Where G is; the latents do not depend on it.
        count: Number of images.
        seed: The seed of the latents.

    Returns:
        uint8 images (count, C, H, W), values 0 to 255, on the CPU.

    Raises:
        GenerationError: Pixels are not finite.
    """
    pixels: list[Tensor] = []
    broken = 0
    for latents in seeded_batches(count, network, seed):
        images = generate(generator, latents.to(device), "eval").cpu()
        images = images[: count - BATCH * len(pixels)]
        broken += _count_broken(images)
        pixels.append(to_uint8(images))
    _refuse_broken(broken, count)
    return torch.cat(pixels)


def check_finite(images: Tensor) -> None:
    """Raise GenerationError if G's images have pixels that are NaN or infinite."""
    _refuse_broken(_count_broken(images), len(images))


def _count_broken(images: Tensor) -> int:
    return int((~images.isfinite()).flatten(1).any(dim=1).sum().item())


def _refuse_broken(broken: int, count: int) -> None:
    if broken:
        raise GenerationError(
            f"{broken:,} of {count:,} images of this generator have pixels that are not "
            "finite numbers: its training has diverged.\nChoose an earlier checkpoint, "
            "or train again with a smaller optimizer.lr."
        )


def image_grid(images: Tensor) -> npt.NDArray[np.uint8]:
    """Arrange images (N, C, H, W) in [-1, 1] as one uint8 picture (H, W, C), nearly square.

    As `torchvision.utils.make_grid` does, whose import takes as long as several steps: between
    black lines of `GRID_PADDING` pixels, and a single image without them.
    """
    pixels = to_uint8(images.float()).permute(0, 2, 3, 1).cpu().numpy()
    count, height, width, channels = pixels.shape
    if count == 1:
        return np.ascontiguousarray(pixels[0])
    columns = round(count**0.5)
    rows = -(-count // columns)
    high, wide = height + GRID_PADDING, width + GRID_PADDING
    grid = np.zeros((rows * high + GRID_PADDING, columns * wide + GRID_PADDING, channels), np.uint8)
    for index, image in enumerate(pixels):
        top, left = (
            GRID_PADDING + high * (index // columns),
            GRID_PADDING + wide * (index % columns),
        )
        grid[top : top + height, left : left + width] = image
    return grid
