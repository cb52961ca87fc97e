"""Between uint8 pixels and [-1, 1], the range of G's tanh."""

from __future__ import annotations

import torch
from torch import Tensor


def to_unit_range(pixels: Tensor) -> Tensor:
    """Scale uint8 values 0 to 255 to floats in [-1, 1]."""
    return torch.div(pixels, 127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1] to uint8 values 0 to 255, rounded and clamped: `to_unit_range` undone."""
    return images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
