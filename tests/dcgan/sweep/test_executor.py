"""The same sweeps on clusters of Ray and Dask, and how the jobs share a machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest

from dcgan.sweep.executor import threads_per_job
from tests.support.sweep_process import TINY, finish, keys, refused, runs_by_status, start
from tracking.backends.local import read_fields

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
        assert f"pip install 'dcgan-lab[{backend}]'" in message
    assert not (tmp_path / "runs").exists()


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


@pytest.fixture
def ray_address() -> Iterator[str]:
    """A Ray cluster of two nodes with a core each: two runs at once need both."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def dask_address() -> Iterator[str]:
    """A Dask cluster of two workers with a thread each."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_cluster_runs_the_same_sweep(
    tmp_path: Path, backend: str, request: pytest.FixtureRequest
):
    address = request.getfixturevalue(f"{backend}_address")
    options = ("--seeds", "2", "--epochs", "4", *TINY, "--backend", backend, "--cluster", address)
    running = start("digits", "--over", "init.scheme=dcgan,default", *options, folder=tmp_path)
    output = finish(running)
    assert "Training 2 at a time, with 1 core each." in output
    found = runs_by_status(tmp_path / "runs")
    assert list(found) == ["finished"]
    arms = ("init.scheme=dcgan", "init.scheme=default")
    assert keys(found["finished"]) == sorted((arm, seed) for arm in arms for seed in (0, 1))
    assert at_once(found["finished"]) == 2
