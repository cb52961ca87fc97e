"""Reads runs from MLflow: as tables, last values, and events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tracking.backends.mlflow.address import tracking_uri
from tracking.backends.mlflow.artifacts import downloaded, is_readable, list_files, list_pictures
from tracking.backends.mlflow.experiment import find_experiment
from tracking.backends.mlflow.layout import (
    DIVERGED_TAG,
    from_metric_value,
    latest_points,
    length_limit,
    long_field_artifact,
    metric_name,
    metric_path,
)
from tracking.backends.mlflow.names import from_mlflow
from tracking.errors import leaving_out
from tracking.events import ARTIFACTS, Event, Fields, Value
from tracking.fields import from_text
from tracking.png import read_image
from tracking.replay import gather
from tracking.run_files import text_or_file

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities
    import pandas as pd

    from tracking.tables import Point


def load_runs(store: Path | str) -> pd.DataFrame:
    """One row per run, the oldest first, as `tracking.tables.run_table` describes it.

    Runs that other programs logged to the same experiment are left out.
    """
    from tracking.tables import run_table

    uri = tracking_uri(store)
    experiment = find_experiment(uri)
    if experiment is None:
        return run_table({})
    runs: dict[str, dict[str, Value]] = {}
    for run in experiment.runs():
        with leaving_out(f"MLflow's run {run.info.run_id}"):
            readable = partial(is_readable, uri, run.info.artifact_uri)
            fields = _read_fields(experiment.client, run, readable)
            name = str(fields.get("sys/id", ""))
            # An empty duplicate, which a server made for a repeated request, is left out.
            if name and len(fields) >= len(runs.get(name, {})):
                runs[name] = fields
    return run_table(runs)


def load_steps(store: Path | str, run: str) -> pd.DataFrame:
    """One row per step of one run, as `tracking.tables.step_table` describes it."""
    from tracking.tables import step_table

    match = _find(store, run)
    if match is None:
        return step_table(run, [])
    client, entry = match
    return step_table(run, list(_read_points(client, entry, entry.data.metrics)))


def load_tails(
    store: Path | str, run: str, paths: Sequence[str], fraction: float
) -> dict[str, pd.Series]:
    """The last values of metrics by path; see `tracking.backends.Backend.load_tails`.

    MLflow returns a metric's values all at once; no other metric is fetched.
    """
    from tracking.tables import tails_of

    match = _find(store, run)
    if match is None:
        return {}
    client, entry = match
    both = [metric_name(path, finite=finite) for path in paths for finite in (True, False)]
    names = [name for name in both if name in entry.data.metrics]
    return tails_of(list(_read_points(client, entry, names)), paths, fraction)


def load_last_values(store: Path | str, run: str) -> dict[str, float]:
    """The last value of each metric by path; MLflow keeps them with the run itself."""
    from tracking.tables import last_values

    match = _find(store, run)
    return last_values(latest_points(match[1])) if match else {}


def load_events(store: Path | str, run: str) -> Iterator[Event]:
    """The complete run as events; none if the store lacks it.

    Artifacts at other paths than `io_files/artifacts/`, such as `long_fields/`, are left out.
    """
    match = _find(store, run)
    if match is None:
        return
    client, entry = match
    run_id = entry.info.run_id
    readable = partial(is_readable, tracking_uri(store), entry.info.artifact_uri)
    yield Fields(_read_fields(client, entry, readable))
    for artifact in filter(readable, sorted(list_files(client, entry, ARTIFACTS))):
        path = str(PurePosixPath(artifact).with_suffix(""))
        with downloaded(client, run_id, artifact) as file:
            yield text_or_file(path, file)
    yield from gather(_read_points(client, entry, entry.data.metrics))
    for picture in list_pictures(client, entry):
        if not readable(picture.artifact):
            continue
        with downloaded(client, run_id, picture.artifact) as file:
            content = file.read_bytes()
        yield from read_image(picture.path, picture.step, picture.time, content)


def _find(store: Path | str, run: str) -> tuple[mlflow.MlflowClient, mlflow.entities.Run] | None:
    """MLflow's entry for a run, and the client that reaches it; None if there is no such run."""
    experiment = find_experiment(tracking_uri(store))
    entry = experiment.find(run) if experiment else None
    return (experiment.client, entry) if experiment and entry else None


def _read_fields(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, readable: Callable[[str], bool]
) -> dict[str, Value]:
    tags = {
        name: text
        for name, text in run.data.tags.items()
        if not name.startswith("mlflow.") and name != DIVERGED_TAG
    }
    # A tag beside a param of the same name is what the param was changed to.
    texts = {from_mlflow(name): text for name, text in (run.data.params | tags).items()}
    return {
        path: from_text(_full_text(client, run.info.run_id, path, text, readable))
        for path, text in texts.items()
    }


def _full_text(
    client: mlflow.MlflowClient,
    run_id: str,
    path: str,
    text: str,
    readable: Callable[[str], bool],
) -> str:
    """A field's full text, from its artifact if it was cut; the inverse of `MlflowTracker._fit`."""
    if len(text) < length_limit(path) or not readable(long_field_artifact(path)):
        return text
    with downloaded(client, run_id, long_field_artifact(path)) as file:
        return file.read_bytes().decode()


def _read_points(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, names: Iterable[str]
) -> Iterator[Point]:
    for name in names:
        path = metric_path(name)
        for metric in client.get_metric_history(run.info.run_id, name):
            value = from_metric_value(name, metric.value)
            yield path, metric.step, metric.timestamp, value
