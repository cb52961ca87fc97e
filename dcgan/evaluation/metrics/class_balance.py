"""Which classes a generator draws, and how evenly, according to a classifier."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def class_coverage(predicted: Tensor, classes: int) -> float:
    """The share of classes that are drawn at all, 0 to 1. predicted: int64 (N,)."""
    return torch.bincount(predicted, minlength=classes).gt(0).double().mean().item()


def class_divergence(predicted: Tensor, real: Tensor, classes: int) -> float:
    """KL(generated classes || real classes) in nats, 0 where both are alike.

    The reverse KL of the stacked-MNIST experiments (Srivastava et al. 2017, section 4.2).
    Classes that no real image has are left out of both; it is infinite if all fakes are of such.

    Args:
        predicted: Classes of fakes, int64 (N,).
        real: Classes of real images, int64 (M,).
        classes: How many there are.
    """
    counts = [torch.bincount(each, minlength=classes).double() for each in (predicted, real)]
    present = counts[1] > 0
    if not counts[0][present].any():
        return math.inf
    generated_shares, real_shares = (each[present] / each[present].sum() for each in counts)
    return torch.xlogy(generated_shares, generated_shares / real_shares).sum().item()
