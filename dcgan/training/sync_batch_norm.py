"""Batch norm with statistics over the batches of all processes together."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_OF_PYTORCH = ("cuda", "xpu")
"""Kinds of device on which `nn.SyncBatchNorm` works."""


def synchronise_batch_norm(network: nn.Sequential, device: torch.device) -> nn.Sequential:
    """The same network, whose batch norm takes its statistics over all processes' batches.

    Parameters and running statistics are those of `network`.
    """
    if device.type in _OF_PYTORCH:
        converted: nn.Sequential = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted
    layers = (
        _SynchronisedBatchNorm(layer) if isinstance(layer, _BatchNorm) else layer
        for layer in network
    )
    return nn.Sequential(*layers)


class _AllReduceSum(torch.autograd.Function):
    """Sums a tensor over all processes, and its gradient likewise."""

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
    """`nn.SyncBatchNorm` for processes on CPUs, where PyTorch's own does not work.

    (N, C, ...) to the same shape. Ioffe and Szegedy 2015, algorithm 1, over all processes'
    batches.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine)
        self.load_state_dict(layer.state_dict())

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        reduced_dims = [dimension for dimension in range(input.dim()) if dimension != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        # In the precision of the weights: autocast's bfloat16 holds no sum of many numbers.
        maps = input.to(self.weight.dtype)
        # On the device, whose process group may exchange nothing else.
        count = _all_reduce_sum(maps.new_tensor(maps.numel() // maps.shape[1]))
        mean = _all_reduce_sum(maps.sum(reduced_dims)) / count
        centred = maps - mean.view(shape)
        variance = _all_reduce_sum(centred.square().sum(reduced_dims)) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)


def _all_reduce_sum(tensor: Tensor) -> Tensor:
    total: Tensor = _AllReduceSum.apply(tensor)
    return total
