"""An exponential moving average of G's weights."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(generator: nn.Module, decay: float) -> AveragedModel | None:
    """An exponential moving average of G's weights; None if `decay` is 0.

    Yazici et al. 2019, The Unusual Effectiveness of Averaging in GAN Training. Only weights
    are averaged; batch norm's statistics are copied from G at each update.
    """
    if decay == 0:
        return None
    return AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay))
