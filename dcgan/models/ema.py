"""An exponential moving average of G's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(generator: nn.Module, decay: float) -> AveragedModel | None:
    """A moving average of G's weights, on G's device; None if `decay` is 0."""
    return AveragedModel(generator) if decay else None


@torch.no_grad()
def update_moving_average(average: AveragedModel, generator: nn.Module, decay: float) -> None:
    """Move an average towards G's weights; its first update copies them.

    Yazici et al. 2019, The Unusual Effectiveness of Averaging in GAN Training. Only weights
    are averaged; batch norm's statistics are copied from G. `AveragedModel.update_parameters`
    does the same, but copies its count from the host to the device each time, for which the
    host waits and which no CUDA graph can hold.

    Args:
        average: What `moving_average` returned.
        generator: G after its step.
        decay: The weight of the old average, in (0, 1).
    """
    averages: list[Tensor] = list(average.module.parameters())
    weights: list[Tensor] = list(generator.parameters())
    if average.n_averaged == 0:  # this count is on the host
        torch._foreach_copy_(averages, weights)
    else:
        torch._foreach_lerp_(averages, weights, 1 - decay)
    if buffers := list(average.module.buffers()):
        torch._foreach_copy_(buffers, list(generator.buffers()))
    # Only whether it is 0 matters: while a CUDA graph is replayed it would not be counted up.
    average.n_averaged.fill_(1)
