"""The same sweeps on clusters of Ray and Dask, and how the jobs share a machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import joblib
import psutil
import pytest
import torch
from typer.testing import CliRunner

import dcgan
from dcgan.choices import Executor
from dcgan.cli import app
from dcgan.sweeping import executor, worker
from dcgan.sweeping.executor import cluster, devices_of_jobs, threads_per_job
from dcgan.sweeping.request import Machines, SweepRequest
from dcgan.sweeping.session import sweep_session
from dcgan.sweeping.worker import WorkItem, WorkResult
from dcgan.training import device
from tests.support.child_process import child_process
from tests.support.forked import fork_context
from tests.support.sweep_process import TINY, keys, refused, run, runs_by_status
from tracking.backends.local import read_fields
from tracking.errors import UserError

pytestmark = pytest.mark.slow


def test_the_jobs_use_this_machine_once():
    cores = joblib.cpu_count()
    for jobs in range(1, 2 * cores + 1):
        threads = threads_per_job(jobs, "loky")
        assert threads >= 1
        assert threads * jobs <= max(cores, jobs)
        assert (threads + 1) * jobs > cores
        assert threads_per_job(jobs, "ray") == 1


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for backend, module in (("ray", "ray"), ("dask", "distributed")):
        monkeypatch.setitem(sys.modules, module, None)
        message = refused("digits", "--backend", backend, "--store", str(tmp_path / "runs"))
        assert f"pip install -c constraints.txt -e '.[{backend}]'" in message
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that seems to have two CUDA GPUs."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    current = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **options: current)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(device, "_run_kernel", lambda device: None)


@pytest.mark.usefixtures("two_cards")
@pytest.mark.parametrize(
    ("options", "jobs", "devices"),
    [
        ((), 2, ("cuda:0", "cuda:1")),
        (("--device", "cuda"), 2, ("cuda:0", "cuda:1")),
        (("--jobs", "3"), 3, ("cuda:0", "cuda:1", "cuda:0")),
        (("--device", "cuda:1"), 1, ("cuda:1",)),
    ],
)
def test_each_job_has_a_gpu_of_its_own_and_there_are_as_many_jobs_as_gpus(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    jobs: int,
    devices: tuple[str, ...],
):
    started: list[tuple[int, set[tuple[str, ...]]]] = []

    def note(
        work_items: Sequence[WorkItem], executor: Executor, jobs: int, watch: Callable[[], None]
    ) -> tuple[list[WorkResult], bool]:
        started.append((jobs, {item.devices for item in work_items}))
        return [], True

    monkeypatch.setattr("dcgan.sweeping.session.run_work_items", note)
    arguments = ("sweep", "digits", "--seeds", "4", "--over", "optimizer.lr=1e-4,1e-3", *options)
    result = CliRunner().invoke(app, [*arguments, "--store", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert started == [(jobs, {devices})]


@pytest.mark.usefixtures("two_cards")
def test_the_gpus_of_a_cluster_are_left_to_its_machines():
    assert devices_of_jobs("auto", 4, "ray") == ("auto",)
    assert devices_of_jobs("cpu", 4, "loky") == ("cpu",)


def claim(folder: Path, connection: Connection) -> None:
    """Claim one of two devices as a worker does, and keep it until the test sends anything."""
    devices = ("cuda:0", "cuda:1")
    connection.send([worker._claim_device(folder, devices) for _ in range(2)])
    connection.recv()


def test_a_worker_keeps_its_gpu_and_leaves_it_when_it_dies(tmp_path: Path):
    worker_process = partial(child_process, claim, tmp_path, fork_context())
    with worker_process() as (first, connection):
        assert connection.recv() == ["cuda:0"] * 2
        with worker_process() as (_, other):
            assert other.recv() == ["cuda:1"] * 2
            first.kill()
            first.join()
            with worker_process() as (_, third):
                assert third.recv() == ["cuda:0"] * 2


def test_a_run_is_trained_on_the_gpu_of_its_worker(monkeypatch: pytest.MonkeyPatch):
    prepared: list[str] = []
    monkeypatch.setattr(worker, "_claim_device", lambda folder, devices: devices[1])
    monkeypatch.setattr(
        worker, "prepare", lambda config, device, *_, **more: prepared.append(device)
    )
    monkeypatch.setattr(
        worker, "prepare_resume", lambda store, run, device, **more: prepared.append(device)
    )
    for resume_id in (None, "digits-abc234"):
        for devices in (("cuda:0", "cuda:1"), ("cuda:0",)):
            worker._prepare_job(Mock(devices=devices, resume_id=resume_id))
    assert prepared == ["cuda:1", "cuda:0"] * 2


def test_a_worker_is_orphaned_even_where_the_number_of_a_dead_parent_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    owner = os.getppid()
    assert not worker._stop_check(tmp_path / "stop", owner)()
    monkeypatch.setattr(psutil, "pid_exists", lambda pid: pid != owner)
    assert worker._stop_check(tmp_path / "stop", owner)()
    assert not worker._stop_check(tmp_path / "stop", os.getpid())()


def test_a_process_of_a_cluster_trains_one_run_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = threading.Barrier(2)
    met: list[bool] = []

    def train(work_item: WorkItem) -> WorkResult:
        try:
            both.wait(timeout=0.2)
        except threading.BrokenBarrierError:
            met.append(False)
        else:
            met.append(True)
        return WorkResult(("all", 0))

    monkeypatch.setattr(worker, "_train", train)
    threads = [
        threading.Thread(target=worker.run_work_item, args=(Mock(owner_pid=None),))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [False, False]


def test_a_device_of_a_clusters_machines_need_not_be_on_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcgan.sweeping.session.cluster", lambda *_: nullcontext(3))
    machines = Machines(executor="dask", device="cuda:7")
    with sweep_session(SweepRequest(subject="digits"), tmp_path, [], machines=machines) as session:
        assert {item.devices for item in session.work_items} == {("cuda:7",)}
        assert session.jobs == 3


def test_a_backend_that_does_not_exist_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"backend = 'slurm': it should be 'loky', 'ray' or 'dask'"):
        dcgan.sweep("digits", seeds=1, backend="slurm", store=tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_dask_cluster_without_workers_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    monkeypatch.setattr("dcgan.sweeping.executor._DASK_SECONDS", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as dask,
        pytest.raises(UserError, match=r"has no workers\. Start some with: dask worker tcp"),
        cluster("dask", dask.scheduler_address, "auto"),
    ):
        raise AssertionError("there is nothing to train on")


def test_ctrl_c_does_not_end_dasks_own_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    small = partial(distributed.Client, n_workers=1, dashboard_address=None)
    monkeypatch.setattr(distributed, "Client", small)

    def handler() -> object:
        return signal.getsignal(signal.SIGINT)

    before = handler()
    with cluster("dask", None, "auto"):
        (of_worker,) = distributed.get_client().run(handler).values()
        assert of_worker == signal.SIG_IGN
        assert handler() == before != signal.SIG_IGN


def at_once(folders: list[Path]) -> int:
    """How many runs were at work at the same time, at most."""
    moments = []
    for folder in folders:
        fields = read_fields(folder)
        moments += [(str(fields["sys/created"]), 1), (str(fields["sys/ended"]), -1)]
    working = peak = 0
    for _, change in sorted(moments):
        working += change
        peak = max(peak, working)
    return peak


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A Ray cluster of two nodes with a core each: two runs at once need both.

    It believes that the second one has two GPUs.
    """
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    # Each process that Ray starts imports it anew: none for logs, nor to ask for more nodes.
    head = {**node, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**node, num_gpus=2)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def dask_address() -> Iterator[str]:
    """A Dask cluster of two workers with a thread each, forked from what has imported PyTorch."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    import dask

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        distributed.utils.get_mp_context()  # chooses imports of its own, once
        fork_context()
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster:
            yield cluster.scheduler_address


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_cluster_runs_the_same_sweep(
    tmp_path: Path, backend: str, request: pytest.FixtureRequest
):
    address = request.getfixturevalue(f"{backend}_address")
    options = (
        "--seeds",
        "2",
        "--epochs",
        "4",
        *TINY,
        "--device",
        "cpu",
        "--backend",
        backend,
        "--cluster",
        address,
    )
    output = run("digits", "--over", "init.scheme=dcgan,default", *options, folder=tmp_path)
    assert "Training 2 at a time, with 1 core each." in output
    found = runs_by_status(tmp_path / "runs")
    assert list(found) == ["finished"]
    arms = ("init.scheme=dcgan", "init.scheme=default")
    assert keys(found["finished"]) == sorted((arm, seed) for arm in arms for seed in (0, 1))
    assert at_once(found["finished"]) == 2


def test_the_shares_of_all_runs_fit_on_whole_gpus():
    assert [executor.share_of_gpu(2, jobs) for jobs in (1, 2, 3, 5)] == [1, 1, 0.5, 0.3333]
    for gpus in range(1, 9):
        for jobs in range(1, 40):
            share = executor.share_of_gpu(gpus, jobs)
            assert share <= 1
            assert int(1 / share) * gpus >= jobs


def test_each_run_on_ray_has_a_gpu_of_its_own(ray_address: str, monkeypatch: pytest.MonkeyPatch):
    """Without a share, all would use the first one, or none."""

    def visible_gpu(_item: WorkItem) -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    monkeypatch.setattr(executor, "run_work_item", visible_gpu)
    items: list[Any] = [SimpleNamespace(devices=("auto",))] * 4
    with cluster("ray", ray_address, "auto") as at_once:
        assert at_once == 2
        assert set(executor._run_on_cluster(items, "ray", 2)) == {"0", "1"}
        assert executor._gpus_of_ray("cpu") == 0
        # Two runs share one GPU.
        monkeypatch.setattr(executor, "_gpus_of_ray", lambda _device: 1)
        assert set(executor._run_on_cluster(items, "ray", 2)) == {"0"}
