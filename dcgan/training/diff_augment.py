"""DiffAugment: random, differentiable changes of every image that D sees.

Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training (NeurIPS 2020),
section 3.3 and appendix; for data sets of a few hundred images. It is written here because
augmentation libraries draw from PyTorch's global generator, or cannot be resumed bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

DrawUniform: TypeAlias = Callable[[], Tensor]
"""Draws one uniform value in [0, 1) per image, (N, 1, 1, 1)."""


def diff_augment(images: Tensor, policy: Sequence[str], rng: torch.Generator) -> Tensor:
    """Augment a batch of images.

    Args:
        images: (N, C, H, W), values in [-1, 1].
        policy: Any of `color`, `translation` and `cutout`, applied in this order.
        rng: Draws the changes.

    Returns:
        (N, C, H, W); `color` may leave [-1, 1].
    """

    def draw_uniform() -> Tensor:
        shape = (len(images), 1, 1, 1)
        return torch.rand(shape, generator=rng, device=rng.device).to(images)

    for name in policy:
        images = POLICIES[name](images, draw_uniform)
    return images


def _color(images: Tensor, draw_uniform: DrawUniform) -> Tensor:
    """Shift brightness by up to 0.5, scale saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    images = images + (draw_uniform() - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = torch.lerp(grey, images, draw_uniform() * 2)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, draw_uniform() + 0.5)


def _translation(images: Tensor, draw_uniform: DrawUniform) -> Tensor:
    """Shift by up to an eighth of the size, each whole number of pixels as often as any other.

    Uncovered pixels become 0.
    """
    height, width = images.shape[2:]
    furthest_down, furthest_right = int(height / 8 + 0.5), int(width / 8 + 0.5)
    down = (draw_uniform() * (2 * furthest_down + 1)).long() - furthest_down
    right = (draw_uniform() * (2 * furthest_right + 1)).long() - furthest_right
    rows = (torch.arange(height, device=images.device).view(1, 1, -1, 1) - down + 1).clamp(
        0, height + 1
    )
    columns = (torch.arange(width, device=images.device).view(1, 1, 1, -1) - right + 1).clamp(
        0, width + 1
    )
    # Indexing by four tensors would sort their indices in the backward pass.
    padded = pad(images, (1, 1, 1, 1))
    moved = padded.gather(2, rows.expand(-1, images.shape[1], -1, width + 2))
    return moved.gather(3, columns.expand(-1, images.shape[1], height, -1))


def _cutout(images: Tensor, draw_uniform: DrawUniform) -> Tensor:
    """Set a square of half the size to 0, anywhere, even across the border."""
    height, width = images.shape[2:]
    top = (draw_uniform() * (height + 1)).long() - height // 4
    left = (draw_uniform() * (width + 1)).long() - width // 4
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1)
    inside = (
        (rows >= top) & (rows < top + height // 2)
        & (columns >= left) & (columns < left + width // 2)
    )  # fmt: skip
    return images.masked_fill(inside, 0.0)


POLICIES: dict[str, Callable[[Tensor, DrawUniform], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
