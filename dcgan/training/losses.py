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
    """Three functions of logits (N, outputs, ...); each averages over all that follows N.

    discriminator: with labels (N,), 1 for real and 0 for fake, to D's loss, a scalar.
    generator: of fakes, to G's loss, a scalar.
    score: the mean of what D says, a scalar: the probability of being real where the loss
        gives one, otherwise D's output as it is.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    score: Callable[[Tensor], Tensor]


def _beside(labels: Tensor, logits: Tensor) -> Tensor:
    """labels (N,) as a view of the shape of logits (N, ...)."""
    return labels.view(-1, *[1] * (logits.dim() - 1)).expand_as(logits)


def _sign(labels: Tensor, logits: Tensor) -> Tensor:
    """1 for real and -1 for fake, of the shape of logits."""
    return 2 * _beside(labels, logits) - 1


def _two_classes(labels: Tensor, logits: Tensor) -> Tensor:
    """labels (N,) as the probabilities of fake and real, of the shape of logits (N, 2, ...)."""
    real = _beside(labels, logits[:, 1])
    return torch.stack([1 - real, real], dim=1)


def _mean(logits: Tensor) -> Tensor:
    return logits.mean()


BCE = AdversarialLoss(
    discriminator=lambda logits, labels: binary_cross_entropy_with_logits(
        logits, _beside(labels, logits)
    ),
    generator=lambda logits: softplus(-logits).mean(),
    score=lambda logits: logits.sigmoid().mean(),
)
"""Binary cross-entropy with G's non-saturating loss (Goodfellow et al. 2014, section 3)."""

SOFTMAX = AdversarialLoss(
    discriminator=lambda logits, labels: cross_entropy(logits, _two_classes(labels, logits)),
    generator=lambda logits: -logits.log_softmax(dim=1)[:, 1].mean(),
    score=lambda logits: logits.softmax(dim=1)[:, 1].mean(),
)
"""Cross-entropy over the two classes fake and real; D has two outputs."""

HINGE = AdversarialLoss(
    discriminator=lambda logits, labels: relu(
        1 - (2 * _beside(labels, logits) - 1) * logits
    ).mean(),
    generator=lambda logits: -logits.mean(),
    score=_mean,
)
"""The hinge loss (Lim and Ye 2017, Geometric GAN; Miyato et al. 2018, equations 16 and 17)."""

LEAST_SQUARES = AdversarialLoss(
    discriminator=lambda logits, labels: mse_loss(logits, _beside(labels, logits)) / 2,
    generator=lambda logits: mse_loss(logits, torch.ones_like(logits)) / 2,
    score=_mean,
)
"""Least squares (Mao et al. 2017, equation 9: a = 0, b = c = 1)."""

WASSERSTEIN = AdversarialLoss(
    discriminator=lambda logits, labels: -(_sign(labels, logits) * logits).mean(),
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
    """The mean of (|gradient| - 1)^2 between real images and fakes, a scalar.

    real, fake: (N, C, H, W). source: of the point on each line between the two.
    Gulrajani et al. 2017, section 4: algorithm 1, lines 4 to 7.
    """
    mixture = torch.rand(len(real), 1, 1, 1, generator=rng, device=rng.device).to(real)
    between = torch.lerp(fake.detach(), real.detach(), mixture).requires_grad_()
    logits = discriminator(between)
    outputs = logits.flatten(start_dim=1).mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(outputs, between, create_graph=True)
    penalty: Tensor = (gradient.flatten(start_dim=1).norm(dim=1) - 1).square().mean()
    return penalty
