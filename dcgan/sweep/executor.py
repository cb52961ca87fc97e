"""The workers of a sweep: processes of this machine, or a Ray or Dask cluster, run by joblib."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import joblib

from dcgan.jobs.signals import stop_requests
from dcgan.sweep.worker import (
    LOOK_SECONDS,
    Executor,
    WorkItem,
    WorkResult,
    init_worker,
    run_work_item,
)
from tracking.errors import UserError


def threads_per_job(jobs: int, backend: Executor) -> int:
    """So many that all jobs together use this machine once.

    A cluster gives each job one core; which machine that is on, nobody knows here.
    """
    return max(1, joblib.cpu_count() // jobs) if backend == "loky" else 1


def run_work_items(
    work: Sequence[WorkItem], backend: Executor, jobs: int, watch: Callable[[], None]
) -> tuple[list[WorkResult], bool]:
    """Run all orders by joblib; return what the workers answered, and whether all was done.

    watch: called about once a second. SIGINT or SIGTERM lets every worker write a checkpoint
    and stop; the second one ends the workers on the spot and raises KeyboardInterrupt.
    Raises UserError where a worker died.
    """
    stop = work[0].stop
    stop.unlink(missing_ok=True)
    answers: list[WorkResult] = []
    deaths: list[BaseException] = []

    def run() -> None:
        try:
            with _configured(backend, jobs, work[0].threads):
                # Small batches, or runs that wait would start after a stop or share a worker.
                parallel = joblib.Parallel(batch_size=1, pre_dispatch=jobs)
                answers.extend(parallel(joblib.delayed(run_work_item)(order) for order in work))
        except Exception as error:
            deaths.append(error)

    thread = threading.Thread(target=run, name="sweep", daemon=True)
    with stop_requests() as stopping:
        thread.start()
        try:
            while thread.is_alive():
                thread.join(LOOK_SECONDS)
                if stopping():
                    stop.touch()
                watch()
        except KeyboardInterrupt:
            if backend == "loky":
                _kill_workers()
            raise
    if deaths and not stopping():
        raise UserError(
            f"{' '.join(str(deaths[0]).split()).partition('. ')[0]}.\n"
            "If memory ran out, give fewer --jobs. Go on with the same command and --resume."
        ) from deaths[0]
    return answers, not stopping()


@contextmanager
def cluster(backend: Executor, address: str | None) -> Iterator[int]:
    """This machine, or a connection to a Ray or Dask cluster; yields how many cores it has.

    address: None for the cluster that the environment names, or else one on this machine.
    Raises UserError where the library is not installed or the cluster does not answer.
    """
    if backend == "loky":
        if address:
            raise UserError("--cluster needs --backend ray or --backend dask.")
        yield joblib.cpu_count()
        return
    opened = _ray(address) if backend == "ray" else _dask(address)
    with opened as cores:
        yield cores


@contextmanager
def _ray(address: str | None) -> Iterator[int]:
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
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()


@contextmanager
def _dask(address: str | None) -> Iterator[int]:
    try:
        from distributed import Client
    except ImportError as error:
        raise _not_installed("dask") from error
    try:
        client = Client(address, timeout=10) if address else Client(threads_per_worker=1)
    except (OSError, ValueError) as error:
        raise UserError(f"Dask does not answer at {address}: {error}") from error
    with client:
        yield sum(client.ncores().values())


def _not_installed(library: str) -> UserError:
    return UserError(
        f"--backend {library} needs {library}, which is not installed.\n"
        f"Install it with: pip install 'dcgan-lab[{library}]'"
    )


@contextmanager
def _configured(backend: Executor, jobs: int, threads: int) -> Iterator[None]:
    """joblib's own configuration; it is the thread's."""
    more: dict[str, Any] = {}
    if backend == "loky":
        more = {
            "inner_max_num_threads": threads,
            "initializer": init_worker,
            "initargs": (os.getpid(),),
        }
    with joblib.parallel_config(backend=backend, n_jobs=jobs, **more):
        yield


def _kill_workers() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(kill_workers=True)
