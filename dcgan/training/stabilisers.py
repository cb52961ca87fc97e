"""What D is shown and told, where a recipe makes its task harder on purpose."""

from __future__ import annotations

import torch
from torch import Tensor

from dcgan.config.schema import Stabilisers
from dcgan.training.diff_augment import diff_augment


def augment(
    images: Tensor, stabilisers: Stabilisers, progress: float, rng: torch.Generator
) -> Tensor:
    """Images (N, C, H, W) as D sees them: augmented, then under noise.

    progress: of the training, 0 to 1; the noise fades linearly (Sonderby et al. 2017,
    section 3: instance noise). Without either the very same tensor comes back.
    """
    if stabilisers.diff_augment:
        images = diff_augment(images, stabilisers.diff_augment, rng)
    strength = stabilisers.instance_noise * (1 - progress)
    if strength > 0:
        noise = torch.randn(images.shape, generator=rng, device=rng.device).to(images)
        images = images + strength * noise
    return images


def make_targets(real: bool, count: int, stabilisers: Stabilisers, rng: torch.Generator) -> Tensor:
    """What D is told of `count` images, (count,): 1 for real, 0 for fake.

    Smoothing is one-sided (Salimans et al. 2016, section 3.4): only real images have it.
    """
    label = 1.0 - stabilisers.label_smoothing if real else 0.0
    targets = torch.full((count,), label, device=rng.device)
    if stabilisers.label_flipping > 0:
        chance = torch.rand(count, generator=rng, device=rng.device)
        targets = torch.where(chance < stabilisers.label_flipping, 0.0 if real else 1.0, targets)
    return targets
