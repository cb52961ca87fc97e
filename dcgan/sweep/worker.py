"""What a worker is told, and how it trains one run of a sweep."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from dcgan.cpu.allocator import keep_memory
from dcgan.jobs.prepare import RunMetadata, SweepMembership, prepare, prepare_resume
from dcgan.jobs.run import run_job
from dcgan.sweep.plan import Key, SweepRun
from dcgan.sweep.storage import StoredSweep
from tracking.errors import UserError

Executor: TypeAlias = Literal["loky", "ray", "dask"]

LOOK_SECONDS = 0.5
"""Between two looks at whether a sweep shall stop."""

_STOP = "stop"
_AT_WORK = threading.Lock()


@dataclass(frozen=True)
class WorkItem:
    """What a worker needs to train one run.

    resume: the id of the run that goes on. threads: of PyTorch. stop: the file that ends the
    sweep. owner: the process without which no worker goes on; None on a cluster.
    """

    trial: SweepRun
    labels: RunMetadata
    store: Path
    device: str
    trackers: tuple[str, ...]
    threads: int
    arguments: tuple[str, ...]
    resume: str | None
    stop: Path
    owner: int | None


@dataclass(frozen=True)
class WorkResult:
    """What a worker says at the end of a run. failure: what went wrong, in a sentence."""

    key: Key
    failure: str | None = None
    warnings: tuple[str, ...] = ()


def make_work_items(
    started: StoredSweep,
    missing: Mapping[SweepRun, str | None],
    *,
    device: str,
    backend: Executor,
    threads: int,
    arguments: Sequence[str],
) -> list[WorkItem]:
    """One order for each run that is missing."""
    name = started.sweep.name
    return [
        WorkItem(
            trial=trial,
            labels=RunMetadata(
                trial.name, name, (), SweepMembership(name, started.id, trial.arm.label)
            ),
            store=started.store,
            device=device,
            trackers=started.trackers,
            threads=threads,
            arguments=tuple(arguments),
            resume=resume,
            stop=started.folder / _STOP,
            owner=os.getpid() if backend == "loky" else None,
        )
        for trial, resume in missing.items()
    ]


def run_work_item(order: WorkItem) -> WorkResult:
    """Train one run in a worker, to its end or until the sweep is told to stop.

    A run that fails is marked so in the store and answered for; nothing is raised.
    """
    with nullcontext() if order.owner is None else _AT_WORK:
        return _train(order)


def init_worker(owner: int) -> None:
    """Leave signals to the sweep, and go when it is gone.

    A terminal sends signals to workers too, which would then take the next run. Those whose
    sweep was killed would wait for runs for ever.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

    def go_with_the_sweep() -> None:
        while os.getppid() == owner:
            time.sleep(LOOK_SECONDS)
        with _AT_WORK:  # the run stops by itself, with a checkpoint
            os._exit(1)

    threading.Thread(target=go_with_the_sweep, daemon=True).start()


def _train(order: WorkItem) -> WorkResult:
    stopping = _stop_watch(order.stop, order.owner)
    key = order.trial.key
    if stopping():
        return WorkResult(key)
    keep_memory()
    torch.set_num_threads(order.threads)
    warnings: list[str] = []
    try:
        if order.resume:
            job = prepare_resume(order.store, order.resume, order.device)
        else:
            job = prepare(
                order.trial.config, order.device, order.store, order.trackers, order.labels
            )
        run_job(job, order.arguments, lambda event: None, warnings.append, stopping)
    except UserError as error:
        return WorkResult(key, str(error), tuple(warnings))
    except Exception as error:
        return WorkResult(key, f"{type(error).__name__}: {error}", tuple(warnings))
    return WorkResult(key, None, tuple(warnings))


def _stop_watch(stop: Path, owner: int | None) -> Callable[[], bool]:
    """Tells whether a run should stop; the file system is asked twice a second, not each step."""
    next_look = 0.0

    def stopping() -> bool:
        nonlocal next_look
        if time.monotonic() < next_look:
            return False
        next_look = time.monotonic() + LOOK_SECONDS
        orphaned = owner is not None and owner not in (os.getpid(), os.getppid())
        return orphaned or stop.exists()

    return stopping
