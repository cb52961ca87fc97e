"""Adversarial losses, on the logits of the discriminator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
    relu,
    softplus,
)


@dataclass(frozen=True)
class AdversarialLoss:
    """Three functions of D's logits (N, outputs, ...); each returns a scalar, averaged over N.

    Attributes:
        discriminator: Logits and targets (N,), 1 for real and 0 for fake, to D's loss.
        generator: Logits of fakes to G's loss.
        score: Logits to the mean probability of being real, or, if the loss defines no
            probability, to D's mean output.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    score: Callable[[Tensor], Tensor]


def _expand_targets(targets: Tensor, logits: Tensor) -> Tensor:
    """Targets (N,) as a view of the shape of logits (N, ...)."""
    return targets.view(-1, *[1] * (logits.dim() - 1)).expand_as(logits)


def _signs(targets: Tensor, logits: Tensor) -> Tensor:
    """1 for real and -1 for fake, of the shape of logits."""
    return 2 * _expand_targets(targets, logits) - 1


def _class_probabilities(targets: Tensor, logits: Tensor) -> Tensor:
    """Targets (N,) as probabilities of fake and real, of the shape of logits (N, 2, ...)."""
    real = _expand_targets(targets, logits[:, 1])
    return torch.stack([1 - real, real], dim=1)


def _mean(logits: Tensor) -> Tensor:
    return logits.mean()


BCE = AdversarialLoss(
    discriminator=lambda logits, targets: binary_cross_entropy_with_logits(
        logits, _expand_targets(targets, logits)
    ),
    generator=lambda logits: softplus(-logits).mean(),
    score=lambda logits: logits.sigmoid().mean(),
)
"""Binary cross-entropy with G's non-saturating loss (Goodfellow et al. 2014, section 3)."""

SOFTMAX = AdversarialLoss(
    discriminator=lambda logits, targets: cross_entropy(
        logits, _class_probabilities(targets, logits)
    ),
    generator=lambda logits: -logits.log_softmax(dim=1)[:, 1].mean(),
    score=lambda logits: logits.softmax(dim=1)[:, 1].mean(),
)
"""Cross-entropy over the two classes fake and real; D has two outputs."""

HINGE = AdversarialLoss(
    discriminator=lambda logits, targets: relu(1 - _signs(targets, logits) * logits).mean(),
    generator=lambda logits: -logits.mean(),
    score=_mean,
)
"""The hinge loss (Lim and Ye 2017, Geometric GAN; Miyato et al. 2018, equations 16 and 17)."""

LEAST_SQUARES = AdversarialLoss(
    discriminator=lambda logits, targets: mse_loss(logits, _expand_targets(targets, logits)) / 2,
    generator=lambda logits: mse_loss(logits, torch.ones_like(logits)) / 2,
    score=_mean,
)
"""Least squares (Mao et al. 2017, equation 9: a = 0, b = c = 1)."""

WASSERSTEIN = AdversarialLoss(
    discriminator=lambda logits, targets: -(_signs(targets, logits) * logits).mean(),
    generator=lambda logits: -logits.mean(),
    score=_mean,
)
"""The critic's loss of WGAN-GP without its penalty (Gulrajani et al. 2017, equation 3)."""

LOSSES = {
    "bce": BCE,
    "softmax": SOFTMAX,
    "hinge": HINGE,
    "least_squares": LEAST_SQUARES,
    "wgan_gp": WASSERSTEIN,
}


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    rng: torch.Generator,
) -> Tensor:
    """The mean of (|gradient| - 1)^2 between real images and fakes.

    Gulrajani et al. 2017, section 4: algorithm 1, lines 4 to 7.

    Args:
        discriminator: Images (N, C, H, W) to logits (N, outputs, ...).
        real: Real images, (N, C, H, W).
        fake: G's images, (N, C, H, W).
        rng: Draws the point on each line from a fake to a real image.

    Returns:
        The penalty without its weight, a scalar.
    """
    mixture = torch.rand(len(real), 1, 1, 1, generator=rng, device=rng.device).to(real)
    between = torch.lerp(fake.detach(), real.detach(), mixture).requires_grad_()
    logits = discriminator(between)
    outputs = logits.flatten(start_dim=1).mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(outputs, between, create_graph=True)
    penalty: Tensor = (gradient.flatten(start_dim=1).norm(dim=1) - 1).square().mean()
    return penalty
