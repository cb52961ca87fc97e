"""One step of D and of G."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dcgan.config.schema import Config
from dcgan.cpu import fast_convolutions as convolutions
from dcgan.training.precision import forward

Network: TypeAlias = Callable[[Tensor], Tensor]


def _callable(network: nn.Module, config: Config, device: torch.device) -> Network:
    """The network as the step calls it; grids and checkpoints take the network itself.

    On CUDA torch.compile replays its kernels as CUDA graphs; on the CPU it would not take in the
    fast convolutions.
    """
    called: Network = network
    if config.training.compile:
        mode = "reduce-overhead" if device.type == "cuda" else "default"
        called = torch.compile(network, mode=mode, dynamic=False)
    elif device.type == "cpu":
        called = partial(convolutions.call, network)
    return partial(forward, called, precision=config.training.precision)


def _one_pass(config: Config, discriminator: nn.Module) -> bool:
    """Whether D may see real images and fakes as one batch.

    It is the same step where no layer looks at its batch as a whole, as batch norm does, or
    counts its passes, as spectral norm does.
    """
    apart = config.training.discriminator_step == "two" or config.stabilisers.spectral_norm
    return not apart and not any(isinstance(each, _BatchNorm) for each in discriminator.modules())
