"""PyTorch's Adam, without the imports that PyTorch's optimizers make for torch.compile."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from dcgan.config.schema import Optimizer

_FUSED = ("cpu", "cuda", "mps", "xpu")
"""Kinds of device for which PyTorch has Adam as one kernel."""


class EagerAdam(torch.optim.Adam):
    """torch.optim.Adam for steps that are not compiled: the same numbers, state and options.

    Four methods of PyTorch's optimizers import torch.compile's machinery when they are first
    called, which delays the first step by more than a second. Beneath their wrappers are the
    methods that PyTorch itself calls in the end.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


def make_adam(network: nn.Module, settings: Optimizer, device: torch.device) -> EagerAdam:
    """Adam in the fastest form that a device has.

    Args:
        network: Whose weights it changes.
        settings: The recipe's.
        device: Where the weights are.
    """
    return EagerAdam(
        network.parameters(),
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True if device.type in _FUSED else None,
        capturable=device.type == "cuda",  # by a CUDA graph
    )
