"""Convolutions between a whole map and a single pixel, which are matrix products.

They are a DCGAN's first and last layer.
"""

from __future__ import annotations

from torch import Tensor


def map_from_pixel(pixels: Tensor, filters: Tensor) -> Tensor:
    """A transposed convolution of single pixels, without bias.

    Args:
        pixels: (N, C, 1, 1).
        filters: (C, channels, H, W), as `torch.conv_transpose2d` takes them.

    Returns:
        (N, channels, H, W) in channels-last memory.
    """
    _, channels, *size = filters.shape
    maps = pixels.flatten(1) @ flatten_map(filters)
    return maps.view(-1, *size, channels).permute(0, 3, 1, 2)


def flatten_map(maps: Tensor) -> Tensor:
    """(N, C, H, W) as (N, HWC), the order in which channels-last maps lie in memory."""
    return maps.permute(0, 2, 3, 1).flatten(1)
