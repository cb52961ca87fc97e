"""Work items sent to sweep workers, and the worker's entry point."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import filelock
import psutil
import torch

from dcgan.choices import Executor
from dcgan.cpu.allocator import keep_memory
from dcgan.jobs.prepare import Job, RunMetadata, SweepMembership, prepare, prepare_resume
from dcgan.jobs.run import run_job
from dcgan.sweeping.plan import RunKey, SweepRun
from dcgan.sweeping.storage import StoredSweep
from tracking.errors import UserError

POLL_SECONDS = 0.5
"""Seconds between two checks of whether the sweep was asked to stop."""

_STOP_FILE = "stop"
_TRAINING = threading.Lock()
"""Held while this process trains a run.

A Dask worker may have several threads, but arithmetic and PyTorch's global random numbers, which
draw the initial weights, are the process's: runs that trained at once got each other's.
"""

_CLAIMS: list[filelock.BaseFileLock] = []
"""The locks that this process holds until it ends."""


@dataclass(frozen=True)
class WorkItem:
    """The arguments of a worker that trains one run.

    Attributes:
        run: The run of the sweep.
        metadata: Its name, group and sweep, for the journal.
        store: The folder of all runs.
        devices: One for each worker, or one for all of them: `auto`, or a device's name.
        trackers: The backends besides the local journal.
        threads: Number of PyTorch's threads.
        arguments: The sweep's command line, for the record.
        resume_id: The id of the run to resume; None to start a new one.
        stop_file: The file whose existence stops the sweep.
        owner_pid: The process of the sweep; workers stop when it is gone. None on a cluster.
        stop_when: The rules of health that end the run early.
    """

    run: SweepRun
    metadata: RunMetadata
    store: Path
    devices: tuple[str, ...]
    trackers: tuple[str, ...]
    threads: int
    arguments: tuple[str, ...]
    resume_id: str | None
    stop_file: Path
    owner_pid: int | None
    stop_when: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkResult:
    """The result that a worker returns at the end of a run.

    Attributes:
        key: The run.
        failure: What went wrong, in a sentence; None if nothing did.
        warnings: The run's warnings.
    """

    key: RunKey
    failure: str | None = None
    warnings: tuple[str, ...] = ()


def make_work_items(
    stored_sweep: StoredSweep,
    missing: Mapping[SweepRun, str | None],
    *,
    devices: Sequence[str],
    executor: Executor,
    threads: int,
    arguments: Sequence[str],
    stop_when: tuple[str, ...] = (),
) -> list[WorkItem]:
    """Make one work item for each missing run.

    Args:
        stored_sweep: The sweep.
        missing: The runs to train, each with the id of the run to resume, or None.
        devices: One for each worker, or one for all of them: `auto`, or a device's name.
        executor: Where the workers run.
        threads: Number of PyTorch's threads per worker.
        arguments: The command line, for the record.
        stop_when: The rules of health that end a run early.
    """
    name, seeds = stored_sweep.sweep.name, len(stored_sweep.sweep.seeds)
    return [
        WorkItem(
            run=run,
            metadata=RunMetadata(
                run.name, name, (), SweepMembership(name, stored_sweep.id, run.arm.label, seeds)
            ),
            store=stored_sweep.store,
            devices=tuple(devices),
            trackers=stored_sweep.trackers,
            threads=threads,
            arguments=tuple(arguments),
            resume_id=resume_id,
            stop_file=stored_sweep.folder / _STOP_FILE,
            owner_pid=os.getpid() if executor == "loky" else None,
            stop_when=stop_when,
        )
        for run, resume_id in missing.items()
    ]


def run_work_item(work_item: WorkItem) -> WorkResult:
    """Train one run in a worker, until it ends or the sweep is asked to stop.

    It raises nothing: a failed run is marked in the store, and its result says why it failed.
    """
    with _TRAINING:
        return _train(work_item)


def init_worker(owner_pid: int) -> None:
    """Set up a local worker: ignore signals, and exit when the sweep's process is gone.

    A terminal also sends Ctrl-C to workers, which would end their run and start the next one. And
    after the sweep is killed, they would wait for work forever.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

    def exit_with_the_sweep() -> None:
        while _is_child_of(owner_pid):
            time.sleep(POLL_SECONDS)
        with _TRAINING:  # the run stops by itself, with a checkpoint
            os._exit(1)

    threading.Thread(target=exit_with_the_sweep, daemon=True).start()


def _train(work_item: WorkItem) -> WorkResult:
    stopping = _stop_check(work_item.stop_file, work_item.owner_pid)
    key = work_item.run.key
    if stopping():
        return WorkResult(key)
    keep_memory()
    torch.set_num_threads(work_item.threads)
    warnings: list[str] = []
    try:
        run_job(
            _prepare_job(work_item),
            work_item.arguments,
            listen=lambda event: None,
            warn=warnings.append,
            stopping=stopping,
        )
    except UserError as error:
        return WorkResult(key, str(error), tuple(warnings))
    except Exception as error:
        return WorkResult(key, f"{type(error).__name__}: {error}", tuple(warnings))
    return WorkResult(key, None, tuple(warnings))


def _prepare_job(work_item: WorkItem) -> Job:
    device = work_item.devices[0]
    if len(work_item.devices) > 1:
        device = _claim_device(work_item.stop_file.parent, work_item.devices)
    if work_item.resume_id:
        return prepare_resume(
            work_item.store, work_item.resume_id, device, stop_when=work_item.stop_when
        )
    return prepare(
        work_item.run.config,
        device,
        work_item.store,
        work_item.trackers,
        work_item.metadata,
        stop_when=work_item.stop_when,
    )


def _stop_check(stop_file: Path, owner_pid: int | None) -> Callable[[], bool]:
    """A function that returns whether a run should stop.

    It checks twice a second, because querying the file system at every step would take time.
    """
    next_check = 0.0

    def stopping() -> bool:
        nonlocal next_check
        if time.monotonic() < next_check:
            return False
        next_check = time.monotonic() + POLL_SECONDS
        owned = owner_pid in (None, os.getpid()) or _is_child_of(owner_pid)
        return not owned or stop_file.exists()

    return stopping


def _is_child_of(pid: int) -> bool:
    """Whether the process `pid` lives and started this one; Windows still reports dead parents."""
    return os.getppid() == pid and psutil.pid_exists(pid)


@cache
def _claim_device(folder: Path, devices: tuple[str, ...]) -> str:
    """Choose a device that no other worker has chosen, for as long as this process lives.

    It is not chosen anew for each run, because a process keeps memory on a GPU that it has used.
    """
    for number, device in enumerate(devices):
        lock = filelock.FileLock(folder / f"device-{number}.lock")
        with suppress(filelock.Timeout):
            lock.acquire(timeout=0)
            _CLAIMS.append(lock)
            return device
    return devices[0]
