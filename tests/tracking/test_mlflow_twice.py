"""A server that creates a run and answers too late: the run is there once, whoever asks again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sample_journals import write_journal
from tracking.backends import load_backend
from tracking.backends import mlflow as backend
from tracking.errors import StoreError
from tracking.transfer import send_run
from tracking.verify import find_differences

RUN = "sample-good22"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_journal(tmp_path, RUN, seed=0)
    return tmp_path


def entries(store: Path) -> list[Any]:
    """What MLflow shows of our runs."""
    from mlflow import MlflowClient

    client = MlflowClient(backend.tracking_uri(store))
    experiment = client.get_experiment_by_name(backend.DEFAULT_EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id]))


def assert_sent_once(store: Path) -> None:
    (entry,) = entries(store)
    assert entry.info.status == "FINISHED"
    assert len(load_backend("mlflow").load_runs(store)) == 1
    assert find_differences(store / RUN, "mlflow") == []


@pytest.mark.parametrize("times", [1, 2], ids=["it gives up", "it asks twice"])
def test_a_run_that_was_created_without_an_answer_is_found_again(
    store: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """MLflow's client asks a second time by itself, since it repeats what took too long."""
    from mlflow import MlflowClient

    create = MlflowClient.create_run

    def create_and_say_nothing(*arguments: Any, **options: Any) -> Any:
        for _ in range(times):
            created = create(*arguments, **options)
        if times == 1:
            raise TimeoutError("no answer")
        return created

    monkeypatch.setattr(MlflowClient, "create_run", create_and_say_nothing)
    if times == 1:
        with pytest.raises(StoreError, match="could not be sent"):
            send_run(store / RUN, "mlflow")
        assert len(entries(store)) == 1
    send_run(store / RUN, "mlflow")
    assert_sent_once(store)


def test_a_copy_that_appears_after_the_run_was_sent_is_deleted(store: Path) -> None:
    from tracking.backends.mlflow.experiment import open_experiment
    from tracking.tracker import Run

    send_run(store / RUN, "mlflow")
    (sent,) = entries(store)
    experiment = open_experiment(backend.tracking_uri(store))
    for created in (sent.info.start_time - 5, sent.info.start_time + 5):
        experiment.create(Run(RUN, RUN, created))
    assert len(load_backend("mlflow").load_runs(store)) == 1
    assert find_differences(store / RUN, "mlflow") == []  # it is not read from an empty copy
    assert not send_run(store / RUN, "mlflow")
    assert_sent_once(store)
