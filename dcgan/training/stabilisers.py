"""Stabilisers: changes to D's images and targets that deliberately make D's task harder."""

from __future__ import annotations

import torch
from torch import Tensor

from dcgan.config.schema import Stabilisers
from dcgan.training.diff_augment import diff_augment


def augment(
    images: Tensor, stabilisers: Stabilisers, noise_std: Tensor, rng: torch.Generator
) -> Tensor:
    """Images as D sees them: augmented, then with instance noise.

    Args:
        images: Real images or fakes, (N, C, H, W), values in [-1, 1].
        stabilisers: Of which `diff_augment` and `instance_noise` are used.
        noise_std: The standard deviation of the noise now, a scalar; see `instance_noise_std`.
        rng: Draws augmentations and noise.

    Returns:
        (N, C, H, W); `images` itself if the recipe asks for neither.
    """
    if stabilisers.diff_augment:
        images = diff_augment(images, stabilisers.diff_augment, rng)
    if stabilisers.instance_noise > 0:
        noise = torch.randn(images.shape, generator=rng, device=rng.device).to(images)
        images = images + noise_std * noise
    return images


def mirror_half(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images, each mirrored from left to right with probability 1/2.

    images: (N, C, H, W). rng: Draws which, on the device of the images.
    """
    chosen = torch.rand((len(images), 1, 1, 1), generator=rng, device=rng.device) < 0.5
    return torch.where(chosen, images.flip(3), images)


def instance_noise_std(stabilisers: Stabilisers, progress: float) -> float:
    """The standard deviation of instance noise, which fades linearly over the training.

    Sonderby et al. 2017, section 3. `progress` is the share of the training that is done, 0 to 1.
    """
    return stabilisers.instance_noise * (1 - progress)


def make_targets(real: bool, count: int, stabilisers: Stabilisers, rng: torch.Generator) -> Tensor:
    """D's targets: 1 for real and 0 for fake, after smoothing and flipping.

    Args:
        real: Whether the images are real.
        count: Number of images.
        stabilisers: Of which `label_smoothing` and `label_flipping` are used. Smoothing is
            one-sided, only for real images (Salimans et al. 2016, section 3.4).
        rng: Draws which targets are flipped.

    Returns:
        float32 (count,), values in [0, 1], on the device of `rng`.
    """
    target = 1.0 - stabilisers.label_smoothing if real else 0.0
    targets = torch.full((count,), target, device=rng.device)
    if stabilisers.label_flipping > 0:
        flipped = torch.rand(count, generator=rng, device=rng.device) < stabilisers.label_flipping
        targets = torch.where(flipped, 0.0 if real else 1.0, targets)
    return targets
