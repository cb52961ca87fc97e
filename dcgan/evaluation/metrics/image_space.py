"""Metrics of images themselves: patches at several scales, and how alike fakes are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from dcgan.data.scaling import to_unit_range

PATCH, PATCHES_PER_IMAGE, SMALLEST_LEVEL = 7, 128, 16
PROJECTIONS, IMAGES = 512, 1_024
PAIRS = 1_000
_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def sliced_wasserstein_distance(real: Tensor, fake: Tensor, seed: int = 0) -> float:
    """The mean over levels of a Laplacian pyramid of the distance of 7x7 patches, times 1,000.

    Karras et al. 2018, section 5: 128 patches per image and level, normalised by the mean and
    the deviation of each channel, 512 random projections. Levels go from full size down to
    16 pixels of the shorter side; images under 32 have one level. Smaller is better, from 0.

    Args:
        real: uint8 (N, C, H, W), of which the first 1,024 are used (16,384 in the paper).
        fake: As many fakes, uint8 (N, C, H, W).
        seed: The seed of the patches and projections.
    """
    rng = torch.Generator().manual_seed(seed)
    distances: list[float] = []
    levels = zip(_pyramid(real[:IMAGES]), _pyramid(fake[:IMAGES]), strict=True)
    for real_level, fake_level in levels:
        patches = [_patches(level, rng) for level in (real_level, fake_level)]
        directions = torch.randn(patches[0].shape[1], PROJECTIONS, generator=rng)
        directions /= directions.norm(dim=0)
        for block in directions.split(64, dim=1):  # all at once would take gigabytes
            first, second = (_sorted_rows(block.t() @ each.t()) for each in patches)
            distances.append(float(np.abs(first - second).mean()) * 1e3)
    return sum(distances) / len(distances)


def _sorted_rows(rows: Tensor) -> np.ndarray:
    """Sort by NumPy on all threads: with SIMD it is 4 times as fast per thread as torch.sort."""
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        return np.stack(list(threads.map(np.sort, rows.numpy())))


def multiscale_similarity(fake: Tensor, seed: int = 0) -> float:
    """MS-SSIM of random pairs of fakes: how alike they are (Odena et al. 2017, section 4.2).

    fake: uint8 (N, C, H, W). From about 0 to 1, which is one image over and over; compare it
    with that of real images. 1,000 pairs, by torchmetrics (Wang et al. 2003): five scales
    from 192 pixels on, as many as fit below (11x11 windows, or 5x5 under 44 pixels).
    """
    rng = torch.Generator().manual_seed(seed)
    count = min(PAIRS, len(fake) // 2)
    first, second = fake[torch.randperm(len(fake), generator=rng)[: 2 * count]].split(count)
    shorter = min(fake.shape[-2:])
    kernel = 11 if shorter >= 44 else 5
    scales = min(5, 1 + int(math.log2(shorter / (kernel + 1))))
    betas = tuple(beta / sum(_BETAS[:scales]) for beta in _BETAS[:scales])
    similarity = multiscale_structural_similarity_index_measure(
        first.float(),
        second.float(),
        gaussian_kernel=False,
        kernel_size=kernel,
        data_range=255.0,
        betas=betas,
        normalize="relu",
    )
    assert isinstance(similarity, Tensor)
    return similarity.item()


def _pyramid(images: Tensor) -> Iterator[Tensor]:
    """Differences of neighbouring scales, full size first, and the smallest scale itself."""
    level = to_unit_range(images)
    while min(level.shape[-2:]) >= 2 * SMALLEST_LEVEL and not any(
        side % 2 for side in level.shape[-2:]
    ):
        smaller = _reduced(level)
        yield level - _expanded(smaller)
        level = smaller
    yield level


def _kernel(channels: int) -> Tensor:
    """Burt and Adelson 1983: the binomial filter, 5x5, for each channel."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    return torch.outer(line, line).expand(channels, 1, 5, 5)


def _reduced(images: Tensor) -> Tensor:
    channels = images.shape[1]
    return conv2d(
        pad(images, (2, 2, 2, 2), "reflect"), _kernel(channels), stride=2, groups=channels
    )


def _expanded(images: Tensor) -> Tensor:
    count, channels, height, width = images.shape
    spaced = images.new_zeros(count, channels, 2 * height, 2 * width)
    spaced[:, :, ::2, ::2] = images
    # Mirrored after zeros were inserted, as Karras et al. do: before, the border would differ.
    return conv2d(pad(spaced, (2, 2, 2, 2), "reflect"), 4 * _kernel(channels), groups=channels)


def _patches(images: Tensor, rng: torch.Generator) -> Tensor:
    """Random patches (N * 128, C * 49), each channel with mean 0 and deviation 1."""
    count, channels, height, width = images.shape
    tops = torch.randint(0, height - PATCH + 1, (count, PATCHES_PER_IMAGE), generator=rng)
    lefts = torch.randint(0, width - PATCH + 1, (count, PATCHES_PER_IMAGE), generator=rng)
    rows = tops[..., None, None] + torch.arange(PATCH)[:, None]
    columns = lefts[..., None, None] + torch.arange(PATCH)
    image = torch.arange(count)[:, None, None, None]
    patches = images.permute(0, 2, 3, 1)[image, rows, columns]  # (N, 128, 7, 7, C)
    patches = patches.reshape(-1, PATCH * PATCH, channels)
    patches = (patches - patches.mean((0, 1))) / patches.std((0, 1)).clamp_min(1e-8)
    return patches.flatten(start_dim=1)
