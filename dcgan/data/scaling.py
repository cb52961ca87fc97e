"""uint8 pixels to the range of G's tanh, [-1, 1], and back."""

from __future__ import annotations

import torch
from torch import Tensor


def scale(pixels: Tensor) -> Tensor:
    """uint8 values 0 to 255 to floats in [-1, 1], the range of G's tanh."""
    return torch.div(pixels, 127.5).sub_(1.0)
