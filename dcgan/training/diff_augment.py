"""DiffAugment: random changes of all that D sees, through which G's gradient flows.

Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training (NeurIPS 2020),
section 3.3 and appendix; for data sets of a few hundred images. The libraries of
augmentations draw from PyTorch's global generator, or cannot be resumed bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

Draw: TypeAlias = Callable[[], Tensor]
"""Draws uniform values in [0, 1), (N, 1, 1, 1), one an image."""


def diff_augment(images: Tensor, policy: Sequence[str], rng: torch.Generator) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] after the changes of `policy`, in its order.

    policy: of `color`, `translation` and `cutout`. Colours may leave [-1, 1].
    """

    def draw() -> Tensor:
        shape = (len(images), 1, 1, 1)
        return torch.rand(shape, generator=rng, device=rng.device).to(images)

    for name in policy:
        images = POLICIES[name](images, draw)
    return images


def _color(images: Tensor, draw: Draw) -> Tensor:
    """Brightness by up to 0.5, saturation by 0 to 2, contrast by 0.5 to 1.5."""
    images = images + (draw() - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = torch.lerp(grey, images, draw() * 2)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(middle, images, draw() + 0.5)


def _translation(images: Tensor, draw: Draw) -> Tensor:
    """A shift by up to an eighth of the size each way; black (0 before scaling) moves in."""
    height, width = images.shape[2:]
    down = ((draw() * 2 - 1) * (height / 8)).round().long()
    right = ((draw() * 2 - 1) * (width / 8)).round().long()
    rows = (torch.arange(height, device=images.device).view(1, 1, -1, 1) - down + 1).clamp(
        0, height + 1
    )
    columns = (torch.arange(width, device=images.device).view(1, 1, 1, -1) - right + 1).clamp(
        0, width + 1
    )
    number = torch.arange(len(images), device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    return pad(images, (1, 1, 1, 1))[number, channel, rows, columns]


def _cutout(images: Tensor, draw: Draw) -> Tensor:
    """A square of half the size, anywhere also across the border, becomes 0."""
    height, width = images.shape[2:]
    top = (draw() * (height + 1)).long() - height // 4
    left = (draw() * (width + 1)).long() - width // 4
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1)
    inside = (
        (rows >= top) & (rows < top + height // 2)
        & (columns >= left) & (columns < left + width // 2)
    )  # fmt: skip
    return images.masked_fill(inside, 0.0)


POLICIES: dict[str, Callable[[Tensor, Draw], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
