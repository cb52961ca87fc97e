"""Training on several devices: `torchrun` starts one process per device.

Every process holds both networks in full and works on its shard of each batch; gradients are
averaged (DistributedDataParallel, Li et al. 2020). `training.batch_size` counts the images of
all processes together. All processes draw the same order of images and the same latents, and
each takes its shard of them, so a run's numbers do not depend on the number of processes,
except for rounding and, unless it is synchronised, for batch norm.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from dcgan.config.schema import ConfigError, ProcessError
from dcgan.training.torchrun import process_count
from tracking.errors import UserError

STOP_CHECK_STEPS = 20
"""Steps between two checks of whether any process was asked to stop, at most."""

STOP_CHECK_SECONDS = 5.0
"""Seconds between two of them, unless one step takes longer: torchrun kills the processes 30 s
after it has passed a signal on to them, and a checkpoint must be written before."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two polls of a process that waits for another."""

_LEAVE_SECONDS = 5.0
"""Seconds that rank 0 waits for the others at most before it exits."""


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: Counted from 0; only rank 0 tracks, saves and prints.
        size: Number of processes.
        store: The key-value store by which they wait for each other; None for a single process.
    """

    rank: int = 0
    size: int = 1
    store: Store | None = field(default=None, repr=False, compare=False)
    _turns: Iterator[int] = field(default_factory=itertools.count, repr=False, compare=False)

    def shard(self, batch: Tensor) -> Tensor:
        """This process's part of a batch, split along dimension 0; sizes differ by at most one."""
        return batch.tensor_split(self.size)[self.rank] if self.size > 1 else batch

    def images_of(self, batch_size: int) -> int:
        """Number of images of a full batch that this process has."""
        return len(self.shard(torch.empty(batch_size)))

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
        """A context in which gradients are collected; the next backward pass outside averages them.

        The forward pass must be inside it too. `network` is what `wrap_ddp` returned.
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
        """The sum of a tensor over all processes, in float64 and on the CPU.

        Not every device has float64, so each process fills its own part of the exchanged tensor,
        and the parts are added on the host.
        """
        parts = values.new_zeros((self.size, *values.shape))
        parts[self.rank] = values
        dist.all_reduce(parts)
        return parts.cpu().double().sum(dim=0)

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Run the block on rank 0 first, for example to fill a cache that the others read.

        The block may take any time on any process: all processes wait for each other at its end,
        without the process group's time-out.

        Raises:
            ProcessError: On the other ranks, a UserError that the block raised only there.
            UserError: The block failed on another process, or rank 0 has exited.
        """
        turn = next(self._turns)
        if self.rank > 0:
            self._wait(turn, finished=1)
        try:
            with self._announcing(turn):
                yield
        except UserError as error:
            if self.rank == 0:
                raise
            raise ProcessError(str(error)) from error
        self._wait(turn, finished=self.size)

    @contextmanager
    def wait_for_main_process(self) -> Iterator[None]:
        """Make the other ranks wait at the end of the block until rank 0 has reached it.

        Rank 0 may take any time, for example to evaluate: the process group's time-out does not
        count. Every process must enter the block.

        Raises:
            UserError: On the other ranks: the block failed on rank 0, or rank 0 has exited.
        """
        turn = next(self._turns)
        if self.rank == 0:
            with self._announcing(turn):
                yield
        else:
            yield
            self._wait(turn, finished=1)

    @contextmanager
    def _announcing(self, turn: int) -> Iterator[None]:
        """Tell the other processes that this one has finished the block or failed in it."""
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):  # the process that kept the store has exited
                self._count(f"failed {turn}", 1)
            raise
        self._count(f"finished {turn}", 1)

    def _wait(self, turn: int, finished: int) -> None:
        """Wait until this many processes have finished the block; UserError if one has failed."""
        pause = _SHORTEST_PAUSE
        try:
            while self._count(f"finished {turn}") < finished:
                if self._count(f"failed {turn}"):
                    raise UserError("Another process could not continue; its own message says why.")
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        except RuntimeError as error:
            raise UserError("The first process has ended, and with it the training.") from error

    def _count(self, event: str, more: int = 0) -> int:
        """How many processes have announced an event, after adding `more`."""
        return self.size if self.store is None else self.store.add(event, more)


class StopChecks:
    """Says now and then whether any process was asked to stop.

    Not after every step, because each check waits for all processes. They agree on the step of the
    next one, which follows from the slowest process's time per step.

    Args:
        world: The processes that train together; each of them makes all calls.
        device: Where the processes exchange the answer.
        step: Steps done so far.
    """

    def __init__(self, world: World, device: torch.device, step: int) -> None:
        self._world = world
        self._device = device
        self._last = step
        self._next = step + 1
        self._since = time.monotonic()

    def any_requested(self, stop: bool, step: int) -> bool:
        """Whether any process was asked to stop; False between two checks.

        Args:
            stop: Whether this process was asked to stop.
            step: The current training step, the same on all processes.
        """
        if self._world.size == 1:
            return stop
        if step < self._next:
            return False
        seconds = (time.monotonic() - self._since) / (step - self._last)
        answers = torch.tensor([float(stop), seconds], device=self._device)
        dist.all_reduce(answers, dist.ReduceOp.MAX)
        any_stop, slowest = answers.tolist()
        in_time = int(STOP_CHECK_SECONDS / slowest) if slowest else STOP_CHECK_STEPS
        self._last, self._next = step, step + min(max(in_time, 1), STOP_CHECK_STEPS)
        self._since = time.monotonic()
        return bool(any_stop)


SINGLE_PROCESS = World()
"""A training in one process."""


@contextmanager
def process_group(device: torch.device) -> Iterator[World]:
    """Join the processes that `torchrun` started; `SINGLE_PROCESS` if it started none.

    Args:
        device: This process's device; a GPU must be PyTorch's current device.

    Yields:
        This process among them.

    Raises:
        ConfigError: PyTorch cannot exchange data between processes on such a device.
    """
    if process_count() == 1:
        yield SINGLE_PROCESS
        return
    backend = _backend(device)
    store, rank, size = next(rendezvous("env://"))
    dist.init_process_group(
        backend, store=PrefixStore("process group", store), rank=rank, world_size=size
    )
    world = World(rank, size, PrefixStore("world", store))
    try:
        yield world
    finally:
        _leave(world)
        dist.destroy_process_group()


def _backend(device: torch.device) -> str:
    """The fastest backend that this build of PyTorch has to exchange gradients on a device.

    Windows has no NCCL; gloo exchanges CUDA's tensors too.
    """
    match device.type:
        case "mps":
            raise ConfigError(
                "Several processes cannot train on mps: a Mac has one GPU, and PyTorch exchanges "
                "nothing between processes on it.\nUse --device cpu, or leave torchrun out."
            )
        case "cuda" if dist.is_nccl_available():
            return "nccl"
        case "xpu" if dist.is_xccl_available():
            return "xccl"
        case _:
            return "gloo"


def _leave(world: World) -> None:
    """Let the others finish polling: without torchrun, the store ends with rank 0."""
    deadline = time.monotonic() + _LEAVE_SECONDS
    with suppress(RuntimeError):  # the store is gone, so the others have exited
        departed = world._count("left", 1)
        while world.rank == 0 and departed < world.size and time.monotonic() < deadline:
            time.sleep(_SHORTEST_PAUSE)
            departed = world._count("left")
