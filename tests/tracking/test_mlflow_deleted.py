"""A training whose MLflow experiment was deleted in the UI goes on, and is sent later."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tracking.backends import local
from tracking.backends import mlflow as backend
from tracking.events import Fields, Metrics
from tracking.fanout import FanOut
from tracking.tracker import Run
from tracking.transfer import send_run
from tracking.verify import find_differences

RUN = Run("digits-abc234", "a run", 1_700_000_000_123)


def test_the_restoring_command_is_told_and_the_run_is_sent_later(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    backend.open_tracker(Run("digits-before", "before", 1), tmp_path).close("finished")
    client = MlflowClient(backend.tracking_uri(tmp_path))
    client.delete_experiment("1")
    warnings: list[str] = []
    tracker = FanOut(
        local.open_tracker(RUN, tmp_path),
        {"mlflow": partial(backend.open_tracker, RUN, tmp_path)},
        partial(local.read_events, tmp_path / RUN.id),
        warnings.append,
    )
    tracker.write(Fields({"config/seed": 1, "sys/status": "running"}))
    tracker.write(Metrics([1, 2], [3, 4], {"training/batch/Gloss": [0.5, 0.25]}))
    tracker.close("finished")
    [told] = warnings
    assert "mlflow experiments restore --experiment-id 1 Or name another" in told
    assert "Training continues, and the local journal has everything." in told
    assert tracker.lost is None

    client.restore_experiment("1")
    send_run(tmp_path / RUN.id, "mlflow")
    assert find_differences(tmp_path / RUN.id, "mlflow") == []
