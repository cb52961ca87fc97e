"""MLflow 3: a sqlite file in the store, or the server that MLFLOW_TRACKING_URI names.

    config/...      params, which MLflow never lets change
    all else        tags; by the tag sys/id a run is found again
    metrics         under their own paths, at their own steps and times
    images          the series that the UI shows by step
    texts, files    artifacts under their own paths
    long_fields/    artifacts: the whole of each value too long for a param or a tag
    sys/sweep/...   tags; and the run becomes the child of one parent run a sweep

The data set is also logged as MLflow's own dataset input, and the tags `mlflow.source.*`
tell MLflow's UI of the code. `sys/tags` is a single tag, a JSON list; one name in it is
found by ``tags.`sys/tags` LIKE '%"baseline"%'``.

MLflow's UI prints all params above each picture, until "Show run parameters" is switched
off in the menu of the chart (Configure).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import filelock

from tracking.errors import ServerError, StoreError
from tracking.events import (
    ARTIFACTS,
    CONFIG,
    IMAGES,
    SWEEP,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
    Value,
)
from tracking.fields import from_text, to_iso8601, to_text
from tracking.png import from_png
from tracking.replay import gather
from tracking.tracker import Held, Run, Status

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities
    import pandas as pd

    from tracking.tables import Point

DATABASE_FILE = "mlflow.db"
ARTIFACT_FOLDER = "mlflow-artifacts"
DEFAULT_EXPERIMENT = "dcgan"
SWEEP_LOCK_FILE = "mlflow-sweeps.lock"

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A dead or silent server is given up after 10 s; by MLflow's defaults it takes minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    # The terminal belongs to the progress bar of the training.
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

# What MLflow takes at most.
_METRICS_PER_BATCH = 1000
_FIELDS_PER_BATCH = 100
_PARAM_LENGTH = 6000
_TAG_LENGTH = 8000
_DIGEST_LENGTH = 36

# A page of runs has to come within the timeout.
_RUNS_PER_PAGE = 100

_STATUSES: Mapping[Status, str] = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "killed": "KILLED",
}
_PARENT_TAG = "mlflow.parentRunId"
_SWEEP_TAG = f"{SWEEP}/parent"  # of a sweep's own run
_UI_TAGS = {
    "sys/name": "mlflow.runName",
    "sys/git/commit": "mlflow.source.git.commit",
    "sys/git/branch": "mlflow.source.git.branch",
    "sys/command": "mlflow.source.name",
}

# MLflow writes each picture, then its thumbnail: where this one is, both are.
_THUMBNAIL = re.compile(
    r"(?P<picture>.*/(?P<key>[^+]+)\+step\+(?P<step>\d+)\+timestamp\+(?P<time>\d+)\+.*)"
    r"\+compressed\.webp"
)


class MlflowTracker:
    """Writes one run to MLflow: when a call returns, MLflow has the event.

    A run that MLflow knows already is opened again. Raises MlflowException where MLflow
    refuses or does not answer.
    """

    def __init__(self, run: Run, store: Path) -> None:
        experiment = _open_experiment(tracking_uri(store))
        self._experiment = experiment
        self._client = experiment.client
        self._lock_file = store / SWEEP_LOCK_FILE
        self._parent: str | None = None
        known = experiment.find(run.id)
        if known:
            self._id: str = known.info.run_id
            self._held = _held(self._client, known)
            self._client.update_run(self._id, status=_STATUSES["running"])
        else:
            self._id = experiment.create(run)
            self._held = Held()

    def held(self) -> Held:
        return self._held

    def write(self, event: Event) -> None:
        match event:
            case Fields(values):
                self._write_fields(values)
                self._write_dataset(values)
                self._join_sweep(values)
            case Metrics():
                self._write_metrics(event)
            case Image(path, step, time, pixels):
                self._client.log_image(
                    self._id, pixels, key=path, step=step, timestamp=time, synchronous=True
                )
            case Text(path, content):
                self._client.log_text(self._id, content, f"{path}.txt")
            case File(path, source):
                self._write_file(PurePosixPath(f"{path}{source.suffix}"), source)

    def close(self, status: Status) -> None:
        self._client.set_tag(self._id, "sys/status", to_text(status), synchronous=True)
        self._client.set_terminated(self._id, _STATUSES[status])
        if self._parent is not None:
            self._close_sweep(self._parent, status)

    def _write_fields(self, values: Mapping[str, Value]) -> None:
        from mlflow.entities import Param, RunTag

        texts = {path: self._fit(path, to_text(value)) for path, value in values.items()}
        params = [Param(path, text) for path, text in texts.items() if _is_config(path)]
        tags = [RunTag(path, text) for path, text in texts.items() if not _is_config(path)]
        tags += [RunTag(key, text) for key, text in _ui_tags(values).items()]
        for start in range(0, max(len(params), len(tags)), _FIELDS_PER_BATCH):
            batch = slice(start, start + _FIELDS_PER_BATCH)
            self._client.log_batch(
                self._id, params=params[batch], tags=tags[batch], synchronous=True
            )

    def _fit(self, path: str, text: str) -> str:
        """As much of `text` as MLflow takes; a text that fills the limit goes to an artifact.

        So a reader sees by the length of what MLflow holds where the whole is.
        """
        limit = _length_limit(path)
        if len(text) >= limit:
            self._client.log_text(self._id, text, _long_field(path))
        return text[:limit]

    def _write_dataset(self, values: Mapping[str, Value]) -> None:
        """Log the data set as an input of the run; MLflow drops one that comes again."""
        prefix = f"{CONFIG}/dataset/"
        card = {
            path.removeprefix(prefix): value
            for path, value in values.items()
            if path.startswith(prefix)
        }
        if "path" in card and "fingerprint" in card:
            self._client.log_inputs(self._id, datasets=[_dataset_input(card)])

    def _join_sweep(self, values: Mapping[str, Value]) -> None:
        """Become the child of the sweep's own run, which the first of its runs creates."""
        sweep, name = values.get(f"{SWEEP}/id"), values.get(f"{SWEEP}/name")
        if not isinstance(sweep, str) or self._parent is not None:
            return
        # MLflow cannot create a run unless it is there; runs of a sweep start together.
        with filelock.FileLock(self._lock_file):
            self._parent = self._experiment.find_sweep(sweep) or self._experiment.create_sweep(
                sweep, str(name)
            )
            self._client.update_run(self._parent, status=_STATUSES["running"])
        self._client.set_tag(self._id, _PARENT_TAG, self._parent, synchronous=True)

    def _close_sweep(self, parent: str, status: Status) -> None:
        """Give the sweep's run the status of the last of its runs to end."""
        with filelock.FileLock(self._lock_file):
            running = self._experiment.runs(
                f"tags.`{_PARENT_TAG}` = '{parent}' and attributes.status = 'RUNNING'"
            )
            if next(running, None) is None:
                self._client.set_terminated(parent, _STATUSES[status])

    def _write_metrics(self, block: Metrics) -> None:
        from mlflow.entities import Metric

        # Step by step, so that after a failure each series is a prefix of the whole.
        metrics = [
            Metric(path, value, time, step)
            for step, time, row in zip(
                block.steps, block.times, zip(*block.values.values(), strict=True), strict=True
            )
            for path, value in zip(block.values, row, strict=True)
        ]
        for start in range(0, len(metrics), _METRICS_PER_BATCH):
            batch = metrics[start : start + _METRICS_PER_BATCH]
            self._client.log_batch(self._id, metrics=batch, synchronous=True)

    def _write_file(self, target: PurePosixPath, source: Path) -> None:
        # MLflow names an artifact as the file that it is made from.
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copyfile(source, Path(folder) / target.name)
            self._client.log_artifact(self._id, str(copy), str(target.parent))


def open_tracker(run: Run, store: Path) -> MlflowTracker:
    return MlflowTracker(run, store)


def tracking_uri(store: Path | str) -> str:
    """An address itself; of a store MLFLOW_TRACKING_URI, or else its own sqlite file."""
    if isinstance(store, str):
        return store
    database = (store / DATABASE_FILE).absolute().as_posix()
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}"


def database_file(uri: str) -> Path | None:
    """The sqlite file that a tracking URI names, if it names one."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else Path(path).absolute()


def runs_page(store: Path) -> str:
    """The page of the UI that lists the runs; without its last word the UI shows none.

    Raises ServerError where MLflow does not answer.
    """
    experiment = _find_experiment(tracking_uri(store))
    number = experiment.id if experiment else "0"
    return f"#/experiments/{number}?workflowType=machine_learning"


def load_runs(store: Path | str) -> pd.DataFrame:
    """One row a run, the oldest first, as `tracking.tables.run_table` describes it.

    Runs that others logged to the same experiment are left out.
    """
    from tracking.tables import run_table

    experiment = _find_experiment(tracking_uri(store))
    if experiment is None:
        return run_table({})
    fields = [_read_fields(experiment.client, run) for run in experiment.runs()]
    return run_table({str(run["sys/id"]): run for run in fields if "sys/id" in run})


def load_steps(store: Path | str, run: str) -> pd.DataFrame:
    """One row a step of one run, as `tracking.tables.step_table` describes it."""
    from tracking.tables import step_table

    experiment = _find_experiment(tracking_uri(store))
    known = experiment.find(run) if experiment else None
    if experiment is None or known is None:
        return step_table(run, [])
    return step_table(run, list(_read_points(experiment.client, known, known.data.metrics)))


def load_tails(
    store: Path | str, run: str, paths: Sequence[str], share: float
) -> dict[str, pd.Series]:
    """The last values of metrics by path, as `tracking.tables.ends_of` gives them.

    MLflow can only be asked for all values of a metric; no other metric is asked for.
    """
    from tracking.tables import tails_of

    experiment = _find_experiment(tracking_uri(store))
    known = experiment.find(run) if experiment else None
    if experiment is None or known is None:
        return {}
    wanted = [path for path in paths if path in known.data.metrics]
    return tails_of(list(_read_points(experiment.client, known, wanted)), wanted, share)


def load_last_values(store: Path | str, run: str) -> dict[str, float]:
    """The newest value of each metric, by path; MLflow keeps them with the run itself."""
    experiment = _find_experiment(tracking_uri(store))
    known = experiment.find(run) if experiment else None
    metrics = known.data.metrics if known else {}
    return {path: _unclamp(metrics[path]) for path in sorted(metrics)}


def load_events(store: Path | str, run: str) -> Iterator[Event]:
    """The whole run as events; nothing where the store lacks it.

    Artifacts that are on no path of ours, such as `long_fields/`, are left out.
    """
    experiment = _find_experiment(tracking_uri(store))
    known = experiment.find(run) if experiment else None
    if experiment is None or known is None:
        return
    client, identifier = experiment.client, known.info.run_id
    yield Fields(_read_fields(client, known))
    for artifact in sorted(_artifacts(client, identifier, ARTIFACTS)):
        path = str(PurePosixPath(artifact).with_suffix(""))
        with _downloaded(client, identifier, artifact) as file:
            if file.suffix == ".txt":
                yield Text(path, file.read_bytes().decode())
            else:
                yield File(path, file)
    yield from gather(_read_points(client, known, known.data.metrics))
    for picture in _pictures(client, identifier):
        with _downloaded(client, identifier, picture.artifact) as file:
            pixels = from_png(file.read_bytes())
        yield Image(picture.path, picture.step, picture.time, pixels)


@dataclass(frozen=True)
class _Experiment:
    """The experiment that holds the runs, and the client that reaches it."""

    client: mlflow.MlflowClient
    id: str

    def runs(self, condition: str = "") -> Iterator[mlflow.entities.Run]:
        """The runs that meet a condition in MLflow's search language, page after page."""
        token = None
        while True:
            page = self.client.search_runs(
                [self.id], condition, max_results=_RUNS_PER_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def find(self, run: str) -> mlflow.entities.Run | None:
        return next(self.runs(f"tags.`sys/id` = '{to_text(run)}'"), None)

    def find_sweep(self, sweep: str) -> str | None:
        """MLflow's id of a sweep's own run."""
        condition = f"tags.`{SWEEP}/id` = '{to_text(sweep)}' and tags.`{_SWEEP_TAG}` = 'true'"
        found = next(self.runs(condition), None)
        return str(found.info.run_id) if found else None

    def create_sweep(self, sweep: str, name: str) -> str:
        """Create a sweep's own run; it has no `sys/id`, and so is none of ours when read."""
        tags = {f"{SWEEP}/id": to_text(sweep), f"{SWEEP}/name": to_text(name)}
        created = self.client.create_run(
            self.id, tags={**tags, _SWEEP_TAG: to_text(True)}, run_name=name
        )
        return str(created.info.run_id)

    def create(self, run: Run) -> str:
        """Create a run and return MLflow's own id of it."""
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        tags = {path: to_text(value) for path, value in identity.items()}
        created = self.client.create_run(
            self.id, start_time=run.created, tags=tags, run_name=run.name
        )
        return str(created.info.run_id)


def _open_experiment(uri: str) -> _Experiment:
    """The experiment, created where it is not there yet."""
    client = _connect(uri)
    name = _experiment_name()
    found = client.get_experiment_by_name(name)
    if found:
        return _Experiment(client, found.experiment_id)
    from mlflow.exceptions import MlflowException

    database = database_file(uri)
    # Without this MLflow would put the artifacts into the working directory.
    location = (database.parent / ARTIFACT_FOLDER).as_uri() if database else None
    try:
        return _Experiment(client, client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another run was first
            raise
        return _Experiment(client, client.get_experiment_by_name(name).experiment_id)


def _find_experiment(uri: str) -> _Experiment | None:
    """The experiment for reading; never creates a file.

    Raises ServerError where MLflow does not answer, StoreError for a file that is not its own.
    """
    database = database_file(uri)
    if database and not (database.exists() and _has_tables(database)):
        return None
    _settle()
    from mlflow.exceptions import MlflowException

    try:
        client = _connect(uri)
        found = client.get_experiment_by_name(_experiment_name())
    except MlflowException as error:
        reason = " ".join(str(error).split())[:300]
        raise ServerError(f"MLflow does not answer at {uri}:\n{reason}") from error
    return _Experiment(client, found.experiment_id) if found else None


def _has_tables(file: Path) -> bool:
    """Whether MLflow made its tables in a file; merely asked, it would make them.

    Raises StoreError where the file is something else.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{file} cannot be read as MLflow's sqlite file: {error}.") from error
    if tables and not tables & {"alembic_version", "experiments"}:
        raise StoreError(f"{file} is not MLflow's: it has no table of experiments.")
    return bool(tables)


def _settle() -> None:
    """Set what MLflow reads when it is imported; what the user has set stays."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def _connect(uri: str) -> mlflow.MlflowClient:
    _settle()
    from mlflow import MlflowClient

    database = database_file(uri)
    if database is None:
        return MlflowClient(uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    # MLflow creates the tables of a new file without locking others out.
    with filelock.FileLock(f"{database}.lock"):
        return MlflowClient(uri)


def _experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT


def _is_config(path: str) -> bool:
    return path.startswith(f"{CONFIG}/")


def _length_limit(path: str) -> int:
    return _PARAM_LENGTH if _is_config(path) else _TAG_LENGTH


def _long_field(path: str) -> str:
    return f"long_fields/{path}.txt"


def _ui_tags(values: Mapping[str, Value]) -> dict[str, str]:
    """The tags by which MLflow itself shows a run: its name, and what code made it."""
    known = {tag: values.get(path) for path, tag in _UI_TAGS.items()}
    tags = {tag: text[:_TAG_LENGTH] for tag, text in known.items() if isinstance(text, str)}
    return tags | ({"mlflow.source.type": "LOCAL"} if "mlflow.source.name" in tags else {})


def _dataset_input(card: Mapping[str, Value]) -> mlflow.entities.DatasetInput:
    """The fields under `config/dataset/` as MLflow's record of a data set."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    path = str(card["path"])
    dataset = Dataset(
        name=str(card.get("name") or Path(path).name),
        digest=str(card["fingerprint"])[:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": path}),
        profile=json.dumps(card),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _held(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> Held:
    identifier = run.info.run_id
    return Held(
        # Of each metric a run carries the value of the highest step, here with the step.
        last_step={metric.key: metric.step for metric in run.to_proto().data.metrics},
        images=frozenset((each.path, each.step) for each in _pictures(client, identifier)),
        files=frozenset(
            str(PurePosixPath(path).with_suffix(""))
            for path in _artifacts(client, identifier, ARTIFACTS)
        ),
    )


def _artifacts(client: mlflow.MlflowClient, identifier: str, folder: str) -> Iterator[str]:
    """The paths of all files under a folder of a run's artifacts."""
    for entry in client.list_artifacts(identifier, folder):
        if entry.is_dir:
            yield from _artifacts(client, identifier, entry.path)
        else:
            yield entry.path


@dataclass(frozen=True)
class _Picture:
    """A picture that MLflow has in full. time: milliseconds since the Unix epoch."""

    path: str
    step: int
    time: int
    artifact: str


def _pictures(client: mlflow.MlflowClient, identifier: str) -> Iterator[_Picture]:
    for artifact in sorted(_artifacts(client, identifier, IMAGES)):
        if found := _THUMBNAIL.fullmatch(artifact):
            yield _Picture(
                path=found["key"].replace("~", "/"),  # as MLflow writes it in a file's name
                step=int(found["step"]),
                time=int(found["time"]),
                artifact=f"{found['picture']}.png",
            )


@contextlib.contextmanager
def _downloaded(client: mlflow.MlflowClient, identifier: str, artifact: str) -> Iterator[Path]:
    """An artifact as a file, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(client.download_artifacts(identifier, artifact, folder))


def _read_fields(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> dict[str, Value]:
    own = {path: text for path, text in run.data.tags.items() if not path.startswith("mlflow.")}
    return {
        path: from_text(_whole(client, run.info.run_id, path, text))
        for path, text in (own | run.data.params).items()
    }


def _whole(client: mlflow.MlflowClient, identifier: str, path: str, text: str) -> str:
    """The inverse of `MlflowTracker._fit`."""
    if len(text) < _length_limit(path):
        return text
    with _downloaded(client, identifier, _long_field(path)) as file:
        return file.read_bytes().decode()


def _read_points(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, paths: Iterable[str]
) -> Iterator[Point]:
    for path in paths:
        for metric in client.get_metric_history(run.info.run_id, path):
            yield path, metric.step, metric.timestamp, _unclamp(metric.value)


def _unclamp(value: float) -> float:
    """MLflow keeps an infinity as the largest float."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value
