"""Batch norm over the batches of all processes together."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise_batch_norm(network: nn.Sequential, device: torch.device) -> nn.Sequential:
    """Batch norm over the batches of all processes together, with the same parameters."""
    if device.type == "cuda":
        converted: nn.Sequential = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted
    layers = (
        _SynchronisedBatchNorm(layer) if isinstance(layer, _BatchNorm) else layer
        for layer in network
    )
    return nn.Sequential(*layers)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; so is the gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _SynchronisedBatchNorm(_BatchNorm):
    """What `nn.SyncBatchNorm` is on CUDA alone, for processes on CPUs.

    (N, C, ...) to the same. Ioffe and Szegedy 2015, algorithm 1, over all processes' batches.
    """

    def __init__(self, like: _BatchNorm) -> None:
        super().__init__(like.num_features, like.eps, like.momentum, like.affine)
        self.load_state_dict(like.state_dict())

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        others = [dimension for dimension in range(input.dim()) if dimension != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        count = torch.tensor(float(input.numel() // input.shape[1]), dtype=input.dtype)
        total = _sum(count)
        mean = _sum(input.sum(others)) / total
        centred = input - mean.view(shape)
        variance = _sum(centred.square().sum(others)) / total
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale.view(shape) + self.bias.view(shape)


def _sum(tensor: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(tensor)
    return total
