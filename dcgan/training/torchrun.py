"""What `torchrun` tells each process that it starts, by environment variables."""

from __future__ import annotations

import os


def process_count() -> int:
    """How many processes `torchrun` started on all machines; 1 if it started none."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def processes_on_machine() -> int:
    """How many processes `torchrun` started on this machine; 1 if it started none."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or 1)


def process_rank() -> int:
    """This process's rank among all, from 0; 0 if `torchrun` did not start it."""
    return int(os.environ.get("RANK") or 0)


def local_rank() -> int | None:
    """This process's rank on its machine, from 0; None if `torchrun` did not start it."""
    rank = os.environ.get("LOCAL_RANK")
    return int(rank) if rank else None
