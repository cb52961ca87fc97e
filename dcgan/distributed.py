"""One training on several devices: `torchrun` starts a process for each of them.

Every process has the whole of both networks and works on its share of each batch; gradients
are averaged (DistributedDataParallel, Li et al. 2020). `training.batch_size` is that of all
processes together, and all draw the same order and the same latents of which each takes its
part: the numbers of a run do not depend on how many trained it, but for rounding and, unless
it is synchronised, for batch norm.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

AGREEMENT_STEPS = 20
"""After so many steps processes ask each other whether one was told to stop."""


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    rank: from 0; 0 alone tracks, saves and speaks. size: how many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch, by its first dimension; sizes differ by one at most."""
        return batch.tensor_split(self.size)[self.rank] if self.size > 1 else batch

    def weighted(self, mean: Tensor, share: int, whole: int) -> Tensor:
        """A mean over this process's share so that the processes' average is that over all.

        share, whole: images in the share and in the batch.
        """
        return mean if share * self.size == whole else mean * (share * self.size / whole)

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over all processes at each backward pass."""
        if self.size == 1:
            return network
        # Batch norm's statistics stay each process's own, or are synchronised by the layers.
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False}
        return DistributedDataParallel(network, **options)

    def average(self, values: Mapping[str, Tensor], share: int, whole: int) -> dict[str, Tensor]:
        """Scalars that are means over a share, as means over the whole batch."""
        if self.size == 1:
            return dict(values)
        row = torch.stack([value.detach().double() for value in values.values()]) * (share / whole)
        dist.all_reduce(row)
        return dict(zip(values, row.unbind(), strict=True))

    def agreed(self, stop: bool, step: int, device: torch.device) -> bool:
        """Whether any process was told to stop; asked every 20 steps, since asking waits."""
        if self.size == 1:
            return stop
        if step % AGREEMENT_STEPS:
            return False
        told = torch.tensor(float(stop), device=device)
        dist.all_reduce(told)
        return bool(told.item())

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process goes before all others, such as to fill a cache that they read.

        Where it fails the others fail likewise, instead of waiting for ever.
        """
        if self.size > 1 and self.rank > 0:
            dist.barrier()
        try:
            yield
        finally:
            if self.size > 1 and self.rank == 0:
                dist.barrier()


ALONE = World()
"""The only process."""


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Meet the other processes that `torchrun` started; alone where it started none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def local_rank() -> int | None:
    """Which of this machine's processes this is; None where `torchrun` did not start it."""
    rank = os.environ.get("LOCAL_RANK")
    return None if rank is None else int(rank)


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
