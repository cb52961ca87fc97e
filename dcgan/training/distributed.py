"""Training on several devices: `torchrun` starts one process per device.

Every process holds both networks in full and works on its shard of each batch; gradients are
averaged (DistributedDataParallel, Li et al. 2020). `training.batch_size` counts the images of
all processes together. All processes draw the same order of images and the same latents, and
each takes its shard of them, so a run's numbers do not depend on the number of processes,
except for rounding and, unless it is synchronised, for batch norm.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

STOP_CHECK_STEPS = 20
"""Steps between two checks of whether any process was asked to stop."""


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: From 0; only rank 0 tracks, saves and prints.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def shard(self, batch: Tensor) -> Tensor:
        """This process's part of a batch, split along dimension 0; sizes differ by at most one."""
        return batch.tensor_split(self.size)[self.rank] if self.size > 1 else batch

    def rescale_mean(self, mean: Tensor, local_size: int, batch_size: int) -> Tensor:
        """Scale a mean over this process's shard so that averaging over processes is exact.

        DDP averages gradients over processes, which weights shards of unequal size wrongly.

        Args:
            mean: A mean over the shard, scalar.
            local_size: Images in the shard.
            batch_size: Images in the batch of all processes together.

        Returns:
            A scalar whose average over processes is the mean over the whole batch.
        """
        weight = local_size * self.size / batch_size
        return mean if weight == 1 else mean * weight

    def no_sync(self, network: nn.Module) -> AbstractContextManager[None]:
        """Within it a backward pass collects gradients that the next pass outside it averages.

        The forward pass belongs inside it too. `network` is what `wrap_ddp` returned.
        """
        if isinstance(network, DistributedDataParallel):
            averaging_off: AbstractContextManager[None] = network.no_sync()
            return averaging_off
        return nullcontext()

    def wrap_ddp(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that each backward pass averages gradients over all processes."""
        if self.size == 1:
            return network
        # Batch norm's statistics stay local, or are synchronised by the layers themselves.
        parameters = inspect.signature(DistributedDataParallel).parameters
        new_name, old_name = "forward_sync_buffers", "broadcast_buffers"
        options: dict[str, Any] = {new_name if new_name in parameters else old_name: False}
        return DistributedDataParallel(network, **options)

    def weigh(
        self, values: Mapping[str, Tensor], local_size: int, batch_size: int
    ) -> dict[str, Tensor]:
        """Means over this process's shard, scaled so that their sum over processes is the mean.

        Args:
            values: Means over the shard, scalars.
            local_size: Images in the shard.
            batch_size: Images in the batch of all processes together.

        Returns:
            The same names; scalars without a graph.
        """
        weight = local_size / batch_size
        scaled = {name: value.detach() for name, value in values.items()}
        if self.size == 1:
            return scaled
        return {name: value * weight for name, value in scaled.items()}

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, in float64."""
        total = values.double()
        dist.all_reduce(total)
        return total

    def any_requested_stop(self, stop: bool, step: int, device: torch.device) -> bool:
        """Whether any process was asked to stop.

        Only checked every 20 steps, because the check waits for all processes.

        Args:
            stop: Whether this process was asked to stop.
            step: The current training step, the same on all processes.
            device: Where the processes exchange the answer.
        """
        if self.size == 1:
            return stop
        if step % STOP_CHECK_STEPS:
            return False
        requests = torch.tensor(float(stop), device=device)
        dist.all_reduce(requests)
        return bool(requests.item())

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Run the block on rank 0 first, for example to fill a cache that the others read.

        If rank 0 fails, the others go on, to fail in their turn rather than wait forever.
        """
        if self.size > 1 and self.rank > 0:
            dist.barrier()
        try:
            yield
        finally:
            if self.size > 1 and self.rank == 0:
                dist.barrier()


SINGLE_PROCESS = World()
"""A training in one process."""


@contextmanager
def process_group(device: torch.device) -> Iterator[World]:
    """Join the processes that `torchrun` started; `SINGLE_PROCESS` if it started none."""
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
    """This process's rank on its machine; None if `torchrun` did not start it."""
    rank = os.environ.get("LOCAL_RANK")
    return None if rank is None else int(rank)
