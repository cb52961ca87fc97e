"""The device on which shapes are traced through a network before training."""

from __future__ import annotations

import torch

_SMALL_PIXELS = 2**17
"""Pixels of a batch up to which computing it is faster than importing what `meta` needs."""


def shape_device(count: int, sides: tuple[int, int]) -> torch.device:
    """`meta`, on which nothing is computed; the CPU for a small batch.

    The first layer on `meta` imports torch.compile's machinery, which takes a second.

    Args:
        count: Images in the batch.
        sides: Their height and width.
    """
    height, width = sides
    return torch.device("cpu" if count * height * width <= _SMALL_PIXELS else "meta")
