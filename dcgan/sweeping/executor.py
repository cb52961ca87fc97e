"""The workers of a sweep: processes of this machine, or a Ray or Dask cluster by joblib."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import joblib

from dcgan.choices import Executor
from dcgan.jobs.signals import stop_requests
from dcgan.sweeping.local_workers import kill_workers, run_in_processes
from dcgan.sweeping.worker import (
    POLL_SECONDS,
    WorkItem,
    WorkResult,
    run_work_item,
)
from dcgan.training.device import devices_for_runs
from tracking.errors import UserError
from tracking.wording import install_extra

_DASK_SECONDS = 10
"""How long Dask's scheduler, and then its first worker, is waited for."""


def threads_per_job(jobs: int, executor: Executor) -> int:
    """Threads per job, so that all jobs together use each core of this machine once.

    On a cluster it is one thread, because the machines' cores are not known here.
    """
    return max(1, joblib.cpu_count() // jobs) if executor == "loky" else 1


def devices_of_jobs(name: str, jobs: int, executor: Executor) -> tuple[str, ...]:
    """The devices of the jobs: this machine's GPUs in turn, unless `name` says which one.

    Args:
        name: `auto`, or a device's name.
        jobs: Number of workers.
        executor: Where they run; the GPUs of a cluster's machines are not known here.

    Returns:
        One device per job, or `name` for all of them.
    """
    devices = devices_for_runs(name) if executor == "loky" else [name]
    return tuple(islice(cycle(devices), jobs)) if len(devices) > 1 else (name,)


def run_work_items(
    work_items: Sequence[WorkItem], executor: Executor, jobs: int, watch: Callable[[], None]
) -> tuple[list[WorkResult], bool]:
    """Run all work items, in processes of this machine or by joblib on a cluster.

    On SIGINT or SIGTERM every worker writes a checkpoint and stops. If a worker on this machine
    dies, only its own run fails.

    Args:
        work_items: At least one.
        executor: Where the workers run.
        jobs: Number of workers.
        watch: Called about twice a second.

    Returns:
        The workers' results, and whether all work was done rather than interrupted.

    Raises:
        UserError: A worker of the cluster died.
        KeyboardInterrupt: A second signal came, which ends the workers at once.
    """
    stop_file = work_items[0].stop_file
    stop_file.unlink(missing_ok=True)
    results: list[WorkResult] = []
    errors: list[Exception] = []
    killed = threading.Event()

    with stop_requests() as stopping:

        def is_stopping() -> bool:
            return killed.is_set() or stopping()

        def run() -> None:
            try:
                if executor == "loky":
                    run_in_processes(work_items, jobs, results.append, is_stopping)
                else:
                    results.extend(_run_on_cluster(work_items, executor, jobs))
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run, name="sweep", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(POLL_SECONDS)
                if stopping():
                    stop_file.touch()
                watch()
        except KeyboardInterrupt:
            killed.set()
            kill_workers()
            raise
    if errors and not stopping():
        first_sentence = " ".join(str(errors[0]).split()).partition(". ")[0]
        raise UserError(
            f"{first_sentence}.\nContinue with the same command and --resume."
        ) from errors[0]
    return results, not stopping()


@contextmanager
def cluster(executor: Executor, address: str | None, device: str) -> Iterator[int]:
    """Connect to a Ray or Dask cluster, or use this machine; yields how many runs train at once.

    Args:
        executor: Where the workers run.
        address: Of the cluster's head; None for the cluster that the environment names, or else
            one on this machine.
        device: `auto`, or a device's name; runs that may use a GPU train one per GPU of Ray's.

    Raises:
        UserError: The library is not installed, or the cluster does not answer.
    """
    if executor == "loky":
        if address:
            raise UserError("A cluster needs the backend ray or dask.")
        yield joblib.cpu_count()
        return
    connection = _ray(address, device) if executor == "ray" else _dask(address)
    with connection as at_once:
        yield at_once


@contextmanager
def _ray(address: str | None, device: str) -> Iterator[int]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise _not_installed("ray") from error
    try:
        ray.init(
            address=address,
            ignore_reinit_error=True,
            log_to_driver=False,
            logging_level="ERROR",
            include_dashboard=False if address is None else None,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"Ray does not answer at {address or 'RAY_ADDRESS'}: {error}") from error
    register_ray()
    try:
        cores = int(ray.cluster_resources().get("CPU", 1))
        yield min(_gpus_of_ray(device) or cores, cores)  # Ray has at most one worker per core
    finally:
        ray.shutdown()


def _gpus_of_ray(device: str) -> int:
    """The GPUs of the cluster that runs on this device may use."""
    import ray

    return 0 if device == "cpu" else int(ray.cluster_resources().get("GPU", 0))


@contextmanager
def _dask(address: str | None) -> Iterator[int]:
    try:
        from distributed import Client, WorkerPlugin
    except ImportError as error:
        raise _not_installed("dask") from error
    try:
        client = Client(address, timeout=_DASK_SECONDS) if address else Client(threads_per_worker=1)
    except (OSError, ValueError) as error:
        raise UserError(f"Dask does not answer at {address}: {error}") from error

    class IgnoreCtrlC(WorkerPlugin):  # type: ignore[misc]
        """A terminal's Ctrl-C would end Dask's workers, and the sweep would wait for them."""

        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    with client:
        if not address:  # processes of this terminal
            client.register_plugin(IgnoreCtrlC())
        try:
            client.wait_for_workers(1, timeout=_DASK_SECONDS)
        except OSError as error:
            raise UserError(
                f"The Dask cluster at {client.scheduler.address} has no workers. Start some with: "
                f"dask worker {client.scheduler.address} --nthreads 1"
            ) from error
        # Of workers, not of cores: a process trains one run at a time, whatever threads it has.
        yield len(client.ncores())


def share_of_gpu(gpus: int, jobs: int) -> float:
    """The share of a GPU for each of these jobs, with which all of them fit on whole GPUs.

    Of two GPUs, three jobs get half a GPU each: with two thirds, Ray would have no place for the
    third. Rounded down to Ray's four decimals.
    """
    return math.floor(10_000 / math.ceil(jobs / gpus)) / 10_000


def _not_installed(library: str) -> UserError:
    return UserError(
        f"The backend {library} needs {library}, which is not installed.\n"
        f"Install it with: {install_extra(library)}"
    )


def _run_on_cluster(
    work_items: Sequence[WorkItem], executor: Executor, jobs: int
) -> list[WorkResult]:
    options: dict[str, Any] = {}
    gpus = _gpus_of_ray(work_items[0].devices[0]) if executor == "ray" else 0
    if gpus:
        # Without a share of them, Ray hides all GPUs from a worker, or lets all use the first.
        options["ray_remote_args"] = {"num_gpus": share_of_gpu(gpus, jobs)}
    # joblib's configuration is that of the calling thread.
    with joblib.parallel_config(backend=executor, n_jobs=jobs, **options):
        # No item in advance: queued runs would start after a stop, or share a worker.
        parallel = joblib.Parallel(batch_size=1, pre_dispatch=jobs)
        return list(parallel(joblib.delayed(run_work_item)(item) for item in work_items))
