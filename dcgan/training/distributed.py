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

    def shard(self, batch: Tensor) -> Tensor:
        """This process's part of a batch, by its first dimension; sizes differ by one at most."""
        return batch.tensor_split(self.size)[self.rank] if self.size > 1 else batch

    def rescale_mean(self, mean: Tensor, share: int, whole: int) -> Tensor:
        """A mean over this process's share so that the processes' average is that over all.

        share, whole: images in the share and in the batch.
        """
        return mean if share * self.size == whole else mean * (share * self.size / whole)

    def wrap_ddp(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over all processes at each backward pass."""
        if self.size == 1:
            return network
        # Batch norm's statistics stay each process's own, or are synchronised by the layers.
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: False}
        return DistributedDataParallel(network, **options)

    def all_reduce_mean(
        self, values: Mapping[str, Tensor], share: int, whole: int
    ) -> dict[str, Tensor]:
        """Scalars that are means over a share, as means over the whole batch."""
        if self.size == 1:
            return dict(values)
        row = torch.stack([value.detach().double() for value in values.values()]) * (share / whole)
        dist.all_reduce(row)
        return dict(zip(values, row.unbind(), strict=True))

    def any_requested_stop(self, stop: bool, step: int, device: torch.device) -> bool:
        """Whether any process was told to stop; asked every 20 steps, since asking waits."""
        if self.size == 1:
            return stop
        if step % AGREEMENT_STEPS:
            return False
        told = torch.tensor(float(stop), device=device)
        dist.all_reduce(told)
        return bool(told.item())

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
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


SINGLE_PROCESS = World()
"""The only process."""


@contextmanager
def process_group(device: torch.device) -> Iterator[World]:
    """Meet the other processes that `torchrun` started; alone where it started none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SINGLE_PROCESS
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
