"""Writes runs to MLflow."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import filelock

from tracking.backends.mlflow.address import tracking_uri
from tracking.backends.mlflow.artifacts import (
    check_writable,
    downloaded,
    is_readable,
    list_files,
    list_pictures,
)
from tracking.backends.mlflow.database import telling_database_errors
from tracking.backends.mlflow.experiment import (
    COLOUR_TAG,
    PARENT_TAG,
    colour_of_arm,
    may_adopt,
    open_experiment,
    run_of_environment,
)
from tracking.backends.mlflow.layout import (
    DIVERGED_TAG,
    dataset_input,
    is_config,
    latest_points,
    length_limit,
    long_field_artifact,
    metric_name,
    to_metric_value,
    ui_tags,
)
from tracking.backends.mlflow.names import MAX_NAME_LENGTH, to_mlflow
from tracking.backends.mlflow.saved_views import refresh_views
from tracking.errors import warn
from tracking.events import (
    ARTIFACTS,
    BATCH,
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
from tracking.replay import digests_of, last_of
from tracking.tracker import Held, Run, Status

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities

SWEEP_LOCK_FILE = "mlflow-sweeps.lock"

# MLflow's limits per call.
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
_LOSSES = (f"{BATCH}/Gloss", f"{BATCH}/Dloss")


class MlflowTracker:
    """Writes one run to MLflow; when a call returns, MLflow has the event.

    An existing run is reopened. Every method raises MlflowException if MLflow
    refuses the call or does not answer, and StoreError if its database does.
    """

    def __init__(self, run: Run, store: Path) -> None:
        experiment = open_experiment(tracking_uri(store))
        self._experiment = experiment
        self._client = experiment.client
        self._lock_file = store / SWEEP_LOCK_FILE
        self._parent: str | None = None
        self._config: dict[str, str]
        self._has_views = False
        self._diverged_from: int | None = None
        existing = experiment.find(run.id)
        if existing:
            self._id: str = existing.info.run_id
            self._held = _held(self._client, existing)
            self._config = dict(existing.data.params) | dict(existing.data.tags)
            self._diverged_from = _step_or_none(existing.data.tags.get(DIVERGED_TAG))
            self._client.update_run(self._id, status=_STATUSES["running"])
        else:
            self._id = self._adopt(run) or experiment.create(run)
            self._held = Held()
            self._config = {}
        experiment.delete_empty_copies(run.id, self._id)
        check_writable(tracking_uri(store), self._client.get_run(self._id).info.artifact_uri)

    def _adopt(self, run: Run) -> str | None:
        """Take over the run that `mlflow run` started for this process, if there is one."""
        run_id = run_of_environment()
        if run_id is None:
            return None
        # The runs of a sweep start together, and only one of them may take it.
        with filelock.FileLock(self._lock_file):
            if not may_adopt(self._experiment, run_id):
                return None
            return self._experiment.create(run, run_id)

    def held(self) -> Held:
        """What MLflow held of the run when it was opened."""
        return self._held

    @telling_database_errors()
    def write(self, event: Event) -> None:
        """Write one event."""
        match event:
            case Fields(values):
                self._write_fields(values)
                self._write_dataset(values)
                self._join_sweep(values)
                if not self._has_views and any(map(is_config, values)):
                    self._refresh_views()
            case Metrics():
                self._write_metrics(event)
                self._note_divergence(event)
            case Image(path, step, time, pixels):
                name = to_mlflow(path, of_images=True)
                self._client.log_image(
                    self._id, pixels, key=name, step=step, timestamp=time, synchronous=True
                )
            case Text(path, content):
                self._client.log_text(self._id, content, f"{path}.txt")
            case File(path, source):
                self._write_file(PurePosixPath(f"{path}{source.suffix}"), source)

    @telling_database_errors()
    def close(self, status: Status) -> None:
        """End the run, and its sweep if no other run of it is running."""
        self._client.set_tag(self._id, "sys/status", to_text(status), synchronous=True)
        self._client.set_terminated(self._id, _STATUSES[status])
        self._refresh_views()
        if self._parent is not None:
            self._close_sweep(self._parent, status)

    def _write_fields(self, values: Mapping[str, Value]) -> None:
        from mlflow.entities import Param, RunTag

        texts = {path: self._fit(path, to_text(value)) for path, value in values.items()}
        names = _names(texts, to_mlflow)
        config = {names[path]: texts[path] for path in names if is_config(path)}
        params = [Param(name, text) for name, text in config.items() if name not in self._config]
        # MLflow refuses to change a param, such as the length of a run that is extended.
        tags = [
            RunTag(name, text)
            for name, text in config.items()
            if self._config.get(name, text) != text
        ]
        self._config |= config
        tags += [RunTag(names[path], texts[path]) for path in names if not is_config(path)]
        tags += [RunTag(key, text) for key, text in ui_tags(values).items()]
        for start in range(0, max(len(params), len(tags)), _FIELDS_PER_BATCH):
            batch = slice(start, start + _FIELDS_PER_BATCH)
            self._client.log_batch(
                self._id, params=params[batch], tags=tags[batch], synchronous=True
            )

    def _fit(self, path: str, text: str) -> str:
        """Cut `text` to MLflow's limit; a text that reaches it is kept in full as an artifact.

        Readers recognise a cut text by its length, which is the limit.
        """
        limit = length_limit(path)
        if len(text) >= limit:
            self._client.log_text(self._id, text, long_field_artifact(path))
        return text[:limit]

    def _write_dataset(self, values: Mapping[str, Value]) -> None:
        """Log the data set as an input of the run; MLflow ignores a repetition."""
        prefix = f"{CONFIG}/dataset/"
        card = {
            path.removeprefix(prefix): value
            for path, value in values.items()
            if path.startswith(prefix)
        }
        if "path" not in card or "fingerprint" not in card:
            return
        from mlflow.exceptions import MlflowException

        try:
            self._client.log_inputs(self._id, datasets=[dataset_input(card)])
        except MlflowException as error:
            if error.error_code != "ENDPOINT_NOT_FOUND":
                raise
            # The dataset card is also among the params.
            warn("This MLflow server is too old for datasets: upgrade it to 2.4 or later.")

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
            joined = self._experiment.runs(f"tags.`{PARENT_TAG}` = '{self._parent}'")
            colour = colour_of_arm(str(values.get(f"{SWEEP}/arm")), joined)
            self._client.set_tag(self._id, COLOUR_TAG, colour, synchronous=True)
            self._client.set_tag(self._id, PARENT_TAG, self._parent, synchronous=True)

    def _close_sweep(self, parent: str, status: Status) -> None:
        """Give the parent run the status of the last of its runs to end."""
        with filelock.FileLock(self._lock_file):
            running = self._experiment.runs(
                f"tags.`{PARENT_TAG}` = '{parent}' and attributes.status = 'RUNNING'"
            )
            if next(running, None) is None:
                self._client.set_terminated(parent, _STATUSES[status])

    def _write_metrics(self, block: Metrics) -> None:
        from mlflow.entities import Metric

        names = _metric_names(block)
        # Step by step, so that after a failure MLflow holds a prefix of each series.
        metrics = [
            Metric(name, to_metric_value(value), time, step)
            for step, time, row in zip(
                block.steps, block.times, zip(*block.values.values(), strict=True), strict=True
            )
            for path, value in zip(block.values, row, strict=True)
            if (name := names.get((path, math.isfinite(value))))
        ]
        for start in range(0, len(metrics), _METRICS_PER_BATCH):
            batch = metrics[start : start + _METRICS_PER_BATCH]
            self._client.log_batch(self._id, metrics=batch, synchronous=True)

    def _note_divergence(self, block: Metrics) -> None:
        """Update the tag with the step since which a loss has not been finite."""
        losses = [block.values[path] for path in _LOSSES if path in block.values]
        before = self._diverged_from
        for step, row in zip(block.steps, zip(*losses, strict=True), strict=False):
            if all(map(math.isfinite, row)):
                self._diverged_from = None
            elif self._diverged_from is None:
                self._diverged_from = step
        if self._diverged_from == before:
            return
        if self._diverged_from is None:
            self._client.delete_tag(self._id, DIVERGED_TAG)
        else:
            self._client.set_tag(self._id, DIVERGED_TAG, self._diverged_from, synchronous=True)

    def _refresh_views(self) -> None:
        """Refresh the experiment's saved views; a failure does not affect the run."""
        self._has_views = True
        try:
            refresh_views(self._experiment)
        except Exception as error:  # each kind of artifact store raises its own
            reason = " ".join(str(error).split())[:200]
            warn(f"The views for MLflow's UI could not be saved: {reason}")

    def _write_file(self, target: PurePosixPath, source: Path) -> None:
        # MLflow names an artifact after the file that it is made from.
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copyfile(source, Path(folder) / target.name)
            self._client.log_artifact(self._id, str(copy), str(target.parent))


@telling_database_errors()
def open_tracker(run: Run, store: Path) -> MlflowTracker:
    """Open a run for writing: a new one, or an existing one to continue it."""
    return MlflowTracker(run, store)


def _names(paths: Iterable[str], to_name: Callable[[str], str]) -> dict[str, str]:
    """MLflow's name for each path; without those that are too long for it."""
    names = {path: to_name(path) for path in paths}
    for path in [path for path, name in names.items() if len(name) > MAX_NAME_LENGTH]:
        warn(
            f"MLflow allows no name of more than {MAX_NAME_LENGTH} characters: {path} is left out."
        )
        del names[path]
    return names


def _metric_names(block: Metrics) -> dict[tuple[str, bool], str]:
    """MLflow's name for each metric's finite values, and for the others if the block has any."""
    broken = [path for path, values in block.values.items() if not all(map(math.isfinite, values))]
    finite = _names(block.values, metric_name)
    others = _names(
        [path for path in broken if path in finite], lambda path: metric_name(path, finite=False)
    )
    return {
        **{(path, True): name for path, name in finite.items()},
        **{(path, False): name for path, name in others.items()},
    }


def _step_or_none(tag: str | None) -> int | None:
    return int(tag) if tag is not None and tag.isdecimal() else None


def _held(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> Held:
    last_step, last_time = last_of(latest_points(run))
    paths = {
        artifact: str(PurePosixPath(artifact).with_suffix(""))
        for artifact in list_files(client, run, ARTIFACTS)
    }
    return Held(
        last_step=last_step,
        last_time=last_time,
        images=frozenset((picture.path, picture.step) for picture in list_pictures(client, run)),
        files=frozenset(paths.values()),
        digests=_digests(client, run, paths),
    )


def _digests(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, paths: Mapping[str, str]
) -> dict[str, str]:
    """The SHA-256 of the files among a run's artifacts. paths: Artifact -> path."""
    digests: dict[str, str] = {}
    for artifact, path in paths.items():
        is_text = artifact.endswith(".txt")
        if not is_text and is_readable(client.tracking_uri, run.info.artifact_uri, artifact):
            with downloaded(client, run.info.run_id, artifact) as file:
                digests |= digests_of({path: file})
    return digests
