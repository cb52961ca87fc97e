"""A sweep in one process: checks its input, locks it, and trains the runs that are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from dcgan.choices import Executor
from dcgan.sweeping.datasets import load_data
from dcgan.sweeping.executor import cluster, devices_of_jobs, run_work_items, threads_per_job
from dcgan.sweeping.plan import RunKey, SweepRun
from dcgan.sweeping.progress import missing_runs
from dcgan.sweeping.request import Machines, SweepRequest, find_or_plan, trackers_of
from dcgan.sweeping.storage import StoredSweep, save_sweep, sweep_lock
from dcgan.sweeping.worker import WorkItem, WorkResult, make_work_items
from dcgan.training.device import choose_device, devices_for_runs
from tracking.errors import UserError


@dataclass(frozen=True)
class SweepOutcome:
    """The results of training the missing runs of a sweep.

    Attributes:
        results: One for each run that a worker ended.
        is_complete: Whether all of them were trained, rather than interrupted.
    """

    results: Sequence[WorkResult] = ()
    is_complete: bool = True

    @property
    def failures(self) -> dict[str, list[RunKey]]:
        """Each failure, with the runs that it happened to."""
        runs: dict[str, list[RunKey]] = {}
        for result in self.results:
            if result.failure:
                runs.setdefault(result.failure, []).append(result.key)
        return runs

    @property
    def warnings(self) -> list[str]:
        """The warnings of all runs, each once."""
        return list(dict.fromkeys(text for result in self.results for text in result.warnings))


@dataclass(frozen=True, kw_only=True)
class SweepSession:
    """A sweep that is locked for this process, with the runs to train.

    Attributes:
        stored: The sweep in the store.
        image_counts: The number of images of each run.
        missing: The runs to train, each with the id of the run to resume, or None.
        work_items: What the workers are sent, one for each missing run.
        machines: Where they train.
        jobs: How many runs are trained at once; 0 if none is missing.
    """

    stored: StoredSweep
    image_counts: Mapping[RunKey, int]
    missing: Mapping[SweepRun, str | None]
    work_items: Sequence[WorkItem]
    machines: Machines
    jobs: int

    def train(self, watch: Callable[[], None]) -> SweepOutcome:
        """Train the missing runs. watch: Called about twice a second; see `run_work_items`."""
        if not self.missing:
            return SweepOutcome()
        return SweepOutcome(
            *run_work_items(self.work_items, self.machines.executor, self.jobs, watch)
        )


@contextmanager
def sweep_session(
    request: SweepRequest,
    store: Path,
    arguments: Sequence[str],
    *,
    machines: Machines,
    download: bool = False,
    stop_when: tuple[str, ...] = (),
) -> Iterator[SweepSession]:
    """Find or plan a sweep, check all of its input, store it, and lock it for this process.

    Args:
        request: The sweep.
        store: The folder of all runs.
        arguments: The command line, for the record.
        machines: Where to train.
        download: Whether torchvision may download missing data.
        stop_when: The rules of health that end a run early.

    Raises:
        ConfigError: A run's configuration is not valid, or its batches cannot be trained on.
        DataError: Images cannot be loaded.
        StoreError: There is no such sweep to resume, or another process trains it.
        UserError: There is no such backend, its cluster does not answer, or `machines` has no jobs.
    """
    if machines.executor not in get_args(Executor):
        raise UserError(f"backend = {machines.executor!r}: it should be 'loky', 'ray' or 'dask'.")
    if machines.jobs is not None and machines.jobs < 1:
        raise UserError(f"jobs = {machines.jobs}: it should be 1 or more.")
    # A cluster's machines may have GPUs that this one lacks.
    on_gpus = machines.executor == "loky" and choose_device(machines.device).type != "cpu"
    plan, stored = find_or_plan(request, store)
    trackers = () if stored else request.trackers or trackers_of(request.subject)
    image_counts = load_data(plan, download=download)
    with cluster(machines.executor, machines.cluster, machines.device) as at_once:
        stored = stored or save_sweep(store, plan, trackers)
        with sweep_lock(stored):
            missing = missing_runs(stored)
            default_jobs = len(devices_for_runs(machines.device)) if on_gpus else at_once
            jobs = min(machines.jobs or default_jobs, len(missing))
            yield SweepSession(
                stored=stored,
                image_counts=image_counts,
                missing=missing,
                work_items=make_work_items(
                    stored,
                    missing,
                    devices=devices_of_jobs(machines.device, jobs, machines.executor),
                    executor=machines.executor,
                    threads=threads_per_job(max(1, jobs), machines.executor),
                    arguments=arguments,
                    stop_when=stop_when,
                ),
                machines=machines,
                jobs=jobs,
            )
