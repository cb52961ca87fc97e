"""Adversarial losses, on the logits of the discriminator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

LogitLoss: TypeAlias = Callable[[Tensor], Tensor]
"""Logits (N,) to a scalar."""


@dataclass(frozen=True)
class AdversarialLoss:
    """real, fake: D's loss on real images and on fakes; generator: G's loss on its fakes."""

    real: LogitLoss
    fake: LogitLoss
    generator: LogitLoss


def _bce_to(label: float) -> LogitLoss:
    def loss(logits: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    return loss


BCE = AdversarialLoss(real=_bce_to(1.0), fake=_bce_to(0.0), generator=_bce_to(1.0))
"""Binary cross-entropy with G's non-saturating loss (Goodfellow et al. 2014, section 3)."""

LOSSES = {"bce": BCE}
