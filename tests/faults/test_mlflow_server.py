"""A training that is tracked to a real MLflow server, whatever becomes of the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from pandas.testing import assert_frame_equal

from tests.support.faulty_proxy import Fault, Proxy, faulty_proxy
from tests.support.mlflow_process import free_port, mlflow_server
from tests.support.waiting import wait_until
from tracking import fanout
from tracking.backends import load_backend, local, mlflow
from tracking.events import (
    FIXED_NOISE,
    GENERATOR_ARCH,
    TRACKERS,
    Event,
    Fields,
    Image,
    Metrics,
    Text,
)
from tracking.fanout import FanOut, RemoteLimits
from tracking.tracker import Run
from tracking.transfer import TransferCount, send_run

pytestmark = pytest.mark.slow

BLOCK = 25
BLOCKS = 40
GLOSS = "training/batch/Gloss"


class Server:
    """An MLflow server that can be killed and started again, at one address on one database."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._start = partial(mlflow_server, folder, f"sqlite:///{folder}/mlflow.db", port)
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(self._start())

    def kill(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It runs whenever a test begins."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _metrics_are_sent_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "GATHERING", 1 / 100)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with faulty_proxy(server.address) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
        yield proxy


class Training:
    """A run that is written as the engine writes it, and the warnings that its user sees."""

    def __init__(self, folder: Path, patience: float = 20) -> None:
        self.run = Run(f"digits-{secrets.token_hex(3)}", "a run", 1_700_000_000_000)
        self.store = folder
        self.folder = folder / self.run.id
        self.warnings: list[str] = []
        self.slowest = 0.0
        self._blocks = 0
        self._tracker = FanOut(
            local.open_tracker(self.run, folder),
            {"mlflow": partial(mlflow.open_tracker, self.run, folder)},
            partial(local.read_events, self.folder),
            self.warnings.append,
            RemoteLimits(patience=patience, retry=1),
        )
        self._write(Fields({"config/optimizer/lr": 2e-4, "sys/status": "running"}))
        self._write(Text(GENERATOR_ARCH, "Generator()\n"))

    def go_on(self, blocks: int) -> None:
        for _ in range(blocks):
            self._blocks += 1
            last = self._blocks * BLOCK
            steps = range(last - BLOCK + 1, last + 1)
            values = {GLOSS: [1 / s for s in steps], "training/batch/Dloss": [s / 7 for s in steps]}
            now = time.time_ns() // 1_000_000
            self._write(Metrics(list(steps), [now + s for s in range(BLOCK)], values))
            if self._blocks % 10 == 0:
                pixels = np.random.default_rng(last).integers(0, 256, (9, 9, 3), dtype=np.uint8)
                self._write(Image(FIXED_NOISE, last, now, pixels))
            time.sleep(0.01)

    def end(self) -> None:
        self._tracker.close("finished")

    def state(self) -> str:
        return str(local.read_fields(self.folder)[f"{TRACKERS}/mlflow"])

    def _write(self, event: Event) -> None:
        began = time.monotonic()
        self._tracker.write(event)
        self.slowest = max(self.slowest, time.monotonic() - began)


def arrived(training: Training) -> bool:
    return not load_backend("mlflow").load_steps(training.store, training.run.id).empty


def assert_survived(training: Training, warnings: int) -> None:
    """The journal is complete, no write waited for the server, and the user was warned so often."""
    steps = local.read_steps(training.folder)
    assert list(steps["step"]) == list(range(1, BLOCK * BLOCKS + 1))
    assert steps[GLOSS].notna().all()
    assert training.slowest < 1.0, "a write took as long as the server's timeout"
    assert len(training.warnings) == warnings, training.warnings
    assert local.read_fields(training.folder)["sys/status"] == "finished"


def assert_sync_makes_it_equal(training: Training) -> None:
    """After a sync MLflow has every value of the journal, and nothing twice."""
    send_run(training.folder, "mlflow")
    assert send_run(training.folder, "mlflow") == TransferCount()
    backend, run = load_backend("mlflow"), training.run.id
    assert fields(backend.load_runs(training.store), run) == fields(
        local.load_runs(training.store), run
    )
    assert_frame_equal(
        backend.load_steps(training.store, run), local.load_steps(training.store, run)
    )
    client = MlflowClient()
    experiment = client.get_experiment_by_name(mlflow.DEFAULT_EXPERIMENT)
    (entry,) = client.search_runs([experiment.experiment_id], f"tags.`sys/id` = '{run}'")
    for path in (GLOSS, "training/batch/Dloss"):
        assert len(client.get_metric_history(entry.info.run_id, path)) == BLOCK * BLOCKS
    pictures = [each.path for each in client.list_artifacts(entry.info.run_id, "images")]
    assert sum(path.endswith(".png") for path in pictures) == BLOCKS // 10


def fields(runs: pd.DataFrame, run: str) -> dict[str, object]:
    return {
        path: value
        for path, value in runs.loc[run].items()
        if value is not None and not str(path).startswith(TRACKERS)
    }


@pytest.mark.parametrize("fault", ["silent", "closing", "500", "429", "garbage"])
@pytest.mark.parametrize("ends", [True, False], ids=["for_a_while", "for_good"])
def test_a_server_that_fails(
    fault: Fault, ends: bool, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(tmp_path)
    training.go_on(5)
    wait_until(lambda: arrived(training), pause=0.1)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        proxy.fault = fault
        training.go_on(20)
        wait_until(lambda: len(training.warnings) == 1)
        training.go_on(10)
        if ends:
            patch.undo()
            proxy.fault = "none"
        training.go_on(BLOCKS - 35)
        training.end()
    assert_survived(training, warnings=1)
    assert training.state().startswith("complete" if ends else "incomplete")
    proxy.fault = "none"
    assert_sync_makes_it_equal(training)


def test_a_server_that_is_slower_than_the_training(proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault = "slow"
    training = Training(tmp_path)
    training.go_on(BLOCKS)
    training.end()
    assert_survived(training, warnings=0)
    assert training.state() == "complete"
    assert send_run(training.folder, "mlflow") == TransferCount()
    proxy.fault = "none"
    assert_sync_makes_it_equal(training)


def test_a_server_that_is_killed_and_comes_back_for_one_of_two_trainings(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    # A busy machine may take minutes to start a server again.
    ends_before, ends_after = Training(tmp_path), Training(tmp_path, patience=200)
    both = (ends_before, ends_after)
    for training in both:
        training.go_on(5)
        wait_until(partial(arrived, training), pause=0.1)
    server.kill()
    for training in both:
        training.go_on(20)
    wait_until(lambda: [len(training.warnings) for training in both] == [1, 1])
    ends_before.go_on(BLOCKS - 25)
    ends_before.end()
    assert_survived(ends_before, warnings=1)
    assert ends_before.state().startswith("incomplete")
    server.start()
    ends_after.go_on(BLOCKS - 25)
    ends_after.end()
    assert_survived(ends_after, warnings=1)
    assert ends_after.state() == "complete"
    for training in both:
        assert_sync_makes_it_equal(training)
