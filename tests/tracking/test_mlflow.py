"""The MLflow backend against real sqlite files, a real server, and servers that are down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import REPOSITORY
from tests.support.mlflow_process import free_port, mlflow_server
from tracking.backends import local
from tracking.backends import mlflow as backend
from tracking.errors import StoreError
from tracking.events import ARTIFACTS, FIXED_NOISE, GENERATOR_ARCH, REAL, Fields
from tracking.replay import Ledger
from tracking.testing.sample_run import (
    CREATED,
    FIELDS,
    RUN,
    STEPS,
    assert_same_as_journal,
    block,
    epoch_means,
    picture,
    whole_run,
    write,
)
from tracking.tracker import Run, Status

if TYPE_CHECKING:
    import mlflow.entities
    from mlflow import MlflowClient


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)


def mlflow_experiment(store: Path) -> tuple[MlflowClient, str]:
    """MLflow's client, and the id of the experiment in the store."""
    from mlflow import MlflowClient

    client = MlflowClient(backend.tracking_uri(store))
    return client, client.get_experiment_by_name(backend.DEFAULT_EXPERIMENT).experiment_id


def mlflow_run(store: Path) -> tuple[mlflow.entities.Run, MlflowClient]:
    """What MLflow itself knows of the only run in the store."""
    client, experiment = mlflow_experiment(store)
    [run] = client.search_runs([experiment])
    return run, client


def test_mlflow_shows_what_it_has_names_for(tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), whole_run(tmp_path))

    run, client = mlflow_run(tmp_path)
    assert run.info.run_name == RUN.name
    assert run.info.start_time == RUN.created
    assert run.data.params["config/values/float"] == "0.0002"
    assert {key: run.data.tags[key] for key in run.data.tags if "source" in key} == {
        "mlflow.source.git.commit": "3f9c2a1",
        "mlflow.source.git.branch": "main",
        "mlflow.source.name": "dcgan train digits",
        "mlflow.source.type": "LOCAL",
    }
    [data] = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("digits", ("0123456789abcdef" * 4)[:36])
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]
    for condition in ("tags.`sys/tags` LIKE '%\"baseline\"%'", "tags.`sys/group` = 'rates'"):
        assert len(client.search_runs([run.info.experiment_id], condition)) == 1


def test_mlflow_shows_artifacts_and_pictures_under_their_paths(tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), whole_run(tmp_path))

    run, client = mlflow_run(tmp_path)
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    assert folder.is_relative_to(tmp_path / backend.ARTIFACT_FOLDER)
    text = (folder / f"{GENERATOR_ARCH}.txt").read_text(encoding="utf-8")
    assert text == "Generator(\n  (0): näme\n)\n"
    assert (folder / ARTIFACTS / "recipe.toml").read_text() == "name = 'digits'\n"
    for image in (picture(FIXED_NOISE, 500), picture(REAL, 1, channels=1)):
        name = f"{image.path.replace('/', '~')}+step+{image.step}+timestamp+{image.time}+*.png"
        assert len(list((folder / "images").glob(name))) == 1


def test_an_interrupted_run_is_the_same_in_mlflow_and_nothing_is_sent_twice(
    tmp_path: Path,
) -> None:
    events = whole_run(tmp_path)
    first = backend.open_tracker(RUN, tmp_path)
    journal = local.open_tracker(RUN, tmp_path)
    write(journal, events)
    # A kill within the block, after some steps of it and one of the images.
    for event in (*events[:3], block(1, 1_300), epoch_means(1_250), events[6]):
        first.write(event)

    again = backend.open_tracker(RUN, tmp_path)
    run, client = mlflow_run(tmp_path)
    assert run.info.status == "RUNNING"
    write(again, Ledger(again.held()).missing(local.read_events(journal.folder)))

    run, client = mlflow_run(tmp_path)
    losses = client.get_metric_history(run.info.run_id, "training/batch/Gloss")
    others = client.get_metric_history(run.info.run_id, "non_finite/training/batch/Gloss")
    assert (len(losses), len(others)) == (STEPS - 3, 3)
    assert len(client.get_metric_history(run.info.run_id, "training/epoch/Gloss")) == 2
    assert len(client.list_artifacts(run.info.run_id, "images")) == 3 * 2  # with thumbnails
    assert len(run.inputs.dataset_inputs) == 1


def test_a_status_becomes_mlflows_own_and_a_reopened_run_runs(tmp_path: Path) -> None:
    expected: dict[Status, str] = {
        "interrupted": "KILLED",
        "failed": "FAILED",
        "finished": "FINISHED",
    }
    for status, name in expected.items():
        tracker = backend.open_tracker(RUN, tmp_path)
        tracker.write(Fields({"sys/status": "running"}))
        assert mlflow_run(tmp_path)[0].info.status == "RUNNING"
        before = time.time_ns() // 1_000_000
        tracker.close(status)
        run, _ = mlflow_run(tmp_path)
        assert run.info.status == name
        assert run.info.end_time >= before
        assert backend.load_runs(tmp_path).loc[RUN.id, "sys/status"] == status


def test_a_config_value_that_changes_is_a_tag_beside_the_param(tmp_path: Path) -> None:
    """MLflow refuses to change a param, such as the length of a run that is trained further."""
    for epochs in (20, 20, 40, 20):
        tracker = backend.open_tracker(RUN, tmp_path)
        tracker.write(Fields({"config/training/epochs": epochs, "config/seed": 1}))
        assert backend.load_runs(tmp_path).loc[RUN.id, "config/training/epochs"] == epochs
    run, _ = mlflow_run(tmp_path)
    assert run.data.params["config/training/epochs"] == "20"
    assert run.data.tags["config/training/epochs"] == "20"
    assert "config/seed" not in run.data.tags


def test_runs_come_oldest_first_over_several_pages_and_without_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.backends.mlflow.experiment.RUNS_PER_PAGE", 2)
    for index in (3, 1, 0, 4, 2):
        backend.open_tracker(Run(f"run-{index}", "same name", CREATED + index), tmp_path)
    client, experiment = mlflow_experiment(tmp_path)
    client.create_run(experiment, tags={"by": "hand"})

    table = backend.load_runs(tmp_path)
    assert list(table.index) == [f"run-{index}" for index in range(5)]
    assert "by" not in table.columns
    assert list(backend.load_steps(tmp_path, "run-9").columns) == ["run", "step", "time"]


def test_the_environment_names_the_server_and_the_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend.tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    elsewhere = tmp_path / "elsewhere" / "other.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "faces")
    write(backend.open_tracker(RUN, tmp_path), [picture(REAL, 1)])
    assert list(backend.load_runs(tmp_path).index) == [RUN.id]
    assert not (tmp_path / "mlflow.db").exists()
    assert list((elsewhere.parent / backend.ARTIFACT_FOLDER).rglob("*.png"))

    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert backend.load_runs(tmp_path).empty


SCRIPT = """
import sys
from pathlib import Path
from tracking.backends.mlflow import open_tracker
from tracking.events import Fields
from tracking.tracker import Run

print("ready", flush=True)
sys.stdin.readline()
tracker = open_tracker(Run(sys.argv[2], sys.argv[2], 1_700_000_000_000), Path(sys.argv[1]))
tracker.write(Fields({"config/seed": 1, "sys/status": "running"}))
tracker.close("finished")
"""


def start(store: Path, name: str) -> subprocess.Popen[str]:
    """A process that tracks a run as soon as it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(store), name],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_two_runs_start_a_new_store_at_once_and_say_nothing(tmp_path: Path) -> None:
    runs = [start(tmp_path, name) for name in ("run-a", "run-b")]
    for run in runs:
        tell(run)
    for run in runs:
        assert run.communicate(timeout=60) == ("", "")
        assert run.returncode == 0
    assert sorted(backend.load_runs(tmp_path).index) == ["run-a", "run-b"]


def test_a_dead_server_fails_soon_with_one_error_and_no_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    run = start(tmp_path, "run-a")
    tell(run)
    # By its own settings MLflow would try for minutes; the import takes seconds.
    output, errors = run.communicate(timeout=60)
    assert output == ""
    assert errors.startswith("Traceback")
    assert "MlflowException: API request to" in errors.splitlines()[-1]


def test_a_silent_server_fails_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        with pytest.raises(MlflowException, match="timed out"):
            backend.open_tracker(RUN, tmp_path)
        assert time.monotonic() - began < 30


def test_a_run_on_a_server_reads_back_as_from_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"sqlite:///{tmp_path}/server.db"
    with mlflow_server(tmp_path / "server", database) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        events = whole_run(tmp_path)
        for tracker in (backend.open_tracker(RUN, tmp_path), local.open_tracker(RUN, tmp_path)):
            write(tracker, events)
        assert_same_as_journal(backend, tmp_path)

        again = backend.open_tracker(RUN, tmp_path)
        journal = local.read_events(tmp_path / RUN.id)
        assert [type(event) for event in Ledger(again.held()).missing(journal)] == [Fields]
        write(again, [FIELDS])
        assert not (tmp_path / backend.ARTIFACT_FOLDER).exists()


def test_a_deleted_experiment_is_told_of_with_its_remedy(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    write(backend.open_tracker(RUN, tmp_path), [])
    MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").delete_experiment("1")
    with pytest.raises(StoreError, match="mlflow experiments restore --experiment-id 1"):
        backend.open_tracker(RUN, tmp_path)
