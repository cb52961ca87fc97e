"""uint8 pixels to the range of G's tanh, [-1, 1], and back."""

from __future__ import annotations

import torch
from torch import Tensor


def to_unit_range(pixels: Tensor) -> Tensor:
    """uint8 values 0 to 255 to floats in [-1, 1], the range of G's tanh."""
    return torch.div(pixels, 127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1] to uint8 values 0 to 255, rounded and clamped; undoes `to_unit_range`."""
    return images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
