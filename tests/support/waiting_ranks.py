"""One of two processes that wait for each other, by what they do in their turn.

Each has the variables that torchrun sets. The time-out of the process group is shorter than the
time that one of them takes.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from functools import partial

import torch
import torch.distributed as dist

from dcgan.training.distributed import World, process_group
from tracking.errors import UserError

TIMEOUT_SECONDS, LONG_SECONDS = 3, 4


def sum_over_all(world: World) -> None:
    total = torch.tensor(world.rank + 1.0)
    dist.all_reduce(total)
    print(f"rank {world.rank}: {total.item():g}", flush=True)


def first_is_slow(world: World) -> None:
    """The first process takes long in both kinds of turns, the other long in its own."""
    with world.main_process_first():
        time.sleep(LONG_SECONDS)
    sum_over_all(world)
    with world.wait_for_main_process():
        if world.rank == 0:
            time.sleep(LONG_SECONDS)
    sum_over_all(world)


def first_fails(world: World) -> None:
    with world.wait_for_main_process():
        if world.rank == 0:
            raise ValueError("an error of the program")


def other_fails(world: World) -> None:
    with world.main_process_first():
        if world.rank == 1:
            raise UserError("this machine has no images")


def first_is_killed(world: World) -> None:
    sum_over_all(world)
    with world.wait_for_main_process():
        if world.rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(part: str) -> None:
    """Take a part, which is the name of a function of this module."""
    dist.init_process_group = partial(
        dist.init_process_group, timeout=timedelta(seconds=TIMEOUT_SECONDS)
    )
    try:
        with process_group(torch.device("cpu")) as world:
            globals()[part](world)
    except (UserError, ValueError) as error:
        print(f"rank {os.environ['RANK']}: {type(error).__name__}: {error}", flush=True)
