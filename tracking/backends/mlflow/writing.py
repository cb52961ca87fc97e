"""Writes runs to MLflow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import filelock

from tracking.backends.mlflow.address import tracking_uri
from tracking.backends.mlflow.artifacts import list_files, list_pictures
from tracking.backends.mlflow.experiment import open_experiment
from tracking.backends.mlflow.layout import (
    dataset_input,
    is_config,
    length_limit,
    long_field_artifact,
    ui_tags,
)
from tracking.backends.mlflow.names import MAX_NAME_LENGTH, from_mlflow, to_mlflow
from tracking.errors import warn
from tracking.events import (
    ARTIFACTS,
    CONFIG,
    SWEEP,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
    Value,
)
from tracking.fields import to_text
from tracking.tracker import Held, Run, Status

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities

SWEEP_LOCK_FILE = "mlflow-sweeps.lock"

# How many MLflow takes in one call.
_METRICS_PER_BATCH = 1000
_FIELDS_PER_BATCH = 100

_STATUSES: Mapping[Status, str] = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "stopped": "KILLED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "killed": "KILLED",
}
_PARENT_TAG = "mlflow.parentRunId"


class MlflowTracker:
    """Writes one run to MLflow: when a call returns, MLflow has the event.

    A run that exists already is opened again. Every method raises MlflowException if MLflow
    refuses the call or does not answer.
    """

    def __init__(self, run: Run, store: Path) -> None:
        experiment = open_experiment(tracking_uri(store))
        self._experiment = experiment
        self._client = experiment.client
        self._lock_file = store / SWEEP_LOCK_FILE
        self._parent: str | None = None
        existing = experiment.find(run.id)
        if existing:
            self._id: str = existing.info.run_id
            self._held = _held(self._client, existing)
            self._client.update_run(self._id, status=_STATUSES["running"])
        else:
            self._id = experiment.create(run)
            self._held = Held()

    def held(self) -> Held:
        """What MLflow had of the run when it was opened."""
        return self._held

    def write(self, event: Event) -> None:
        """Write one event."""
        match event:
            case Fields(values):
                self._write_fields(values)
                self._write_dataset(values)
                self._join_sweep(values)
            case Metrics():
                self._write_metrics(event)
            case Image(path, step, time, pixels):
                name = to_mlflow(path, of_images=True)
                self._client.log_image(
                    self._id, pixels, key=name, step=step, timestamp=time, synchronous=True
                )
            case Text(path, content):
                self._client.log_text(self._id, content, f"{path}.txt")
            case File(path, source):
                self._write_file(PurePosixPath(f"{path}{source.suffix}"), source)

    def close(self, status: Status) -> None:
        """End the run, and its sweep if no other run of it is running."""
        self._client.set_tag(self._id, "sys/status", to_text(status), synchronous=True)
        self._client.set_terminated(self._id, _STATUSES[status])
        if self._parent is not None:
            self._close_sweep(self._parent, status)

    def _write_fields(self, values: Mapping[str, Value]) -> None:
        from mlflow.entities import Param, RunTag

        texts = {path: self._fit(path, to_text(value)) for path, value in values.items()}
        names = _names(texts)
        params = [Param(names[path], texts[path]) for path in names if is_config(path)]
        tags = [RunTag(names[path], texts[path]) for path in names if not is_config(path)]
        tags += [RunTag(key, text) for key, text in ui_tags(values).items()]
        for start in range(0, max(len(params), len(tags)), _FIELDS_PER_BATCH):
            batch = slice(start, start + _FIELDS_PER_BATCH)
            self._client.log_batch(
                self._id, params=params[batch], tags=tags[batch], synchronous=True
            )

    def _fit(self, path: str, text: str) -> str:
        """Cut `text` to what MLflow takes; a text that reaches the limit is kept as an artifact.

        Readers recognise a cut text by its length, which equals the limit.
        """
        limit = length_limit(path)
        if len(text) >= limit:
            self._client.log_text(self._id, text, long_field_artifact(path))
        return text[:limit]

    def _write_dataset(self, values: Mapping[str, Value]) -> None:
        """Log the data set as an input of the run; MLflow ignores one that it has already."""
        prefix = f"{CONFIG}/dataset/"
        card = {
            path.removeprefix(prefix): value
            for path, value in values.items()
            if path.startswith(prefix)
        }
        if "path" in card and "fingerprint" in card:
            self._client.log_inputs(self._id, datasets=[dataset_input(card)])

    def _join_sweep(self, values: Mapping[str, Value]) -> None:
        """Become a child of the sweep's parent run; the first run of a sweep creates it."""
        sweep, name = values.get(f"{SWEEP}/id"), values.get(f"{SWEEP}/name")
        if not isinstance(sweep, str) or self._parent is not None:
            return
        # MLflow has no "create if missing", and the runs of a sweep start together.
        with filelock.FileLock(self._lock_file):
            self._parent = self._experiment.find_sweep(sweep) or self._experiment.create_sweep(
                sweep, str(name)
            )
            self._client.update_run(self._parent, status=_STATUSES["running"])
        self._client.set_tag(self._id, _PARENT_TAG, self._parent, synchronous=True)

    def _close_sweep(self, parent: str, status: Status) -> None:
        """Give the parent run the status of the last of its runs to end."""
        with filelock.FileLock(self._lock_file):
            running = self._experiment.runs(
                f"tags.`{_PARENT_TAG}` = '{parent}' and attributes.status = 'RUNNING'"
            )
            if next(running, None) is None:
                self._client.set_terminated(parent, _STATUSES[status])

    def _write_metrics(self, block: Metrics) -> None:
        from mlflow.entities import Metric

        # Step by step, so that after a failure MLflow holds a prefix of each series.
        names = _names(block.values)
        metrics = [
            Metric(names[path], value, time, step)
            for step, time, row in zip(
                block.steps, block.times, zip(*block.values.values(), strict=True), strict=True
            )
            for path, value in zip(block.values, row, strict=True)
            if path in names
        ]
        for start in range(0, len(metrics), _METRICS_PER_BATCH):
            batch = metrics[start : start + _METRICS_PER_BATCH]
            self._client.log_batch(self._id, metrics=batch, synchronous=True)

    def _write_file(self, target: PurePosixPath, source: Path) -> None:
        # MLflow names an artifact after the file that it is made from.
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copyfile(source, Path(folder) / target.name)
            self._client.log_artifact(self._id, str(copy), str(target.parent))


def open_tracker(run: Run, store: Path) -> MlflowTracker:
    """Open a run for writing: a new one, or an existing one to continue it."""
    return MlflowTracker(run, store)


def _names(paths: Iterable[str]) -> dict[str, str]:
    """MLflow's name for each path; without those that are too long for it."""
    names = {path: to_mlflow(path) for path in paths}
    for path in [path for path, name in names.items() if len(name) > MAX_NAME_LENGTH]:
        warn(f"MLflow takes no name of more than {MAX_NAME_LENGTH} characters: {path} is left out.")
        del names[path]
    return names


def _held(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> Held:
    run_id = run.info.run_id
    metrics = run.to_proto().data.metrics
    return Held(
        # A run carries the latest value of each metric's highest step; the protobuf has the rest.
        last_step={from_mlflow(metric.key): metric.step for metric in metrics},
        last_time={from_mlflow(metric.key): metric.timestamp for metric in metrics},
        images=frozenset((picture.path, picture.step) for picture in list_pictures(client, run_id)),
        files=frozenset(
            str(PurePosixPath(path).with_suffix(""))
            for path in list_files(client, run_id, ARTIFACTS)
        ),
    )
