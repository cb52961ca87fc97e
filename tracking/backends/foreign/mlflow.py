"""MLflow runs of other programs: all runs of an experiment, or of all experiments.

config/...                params
tags/...                  tags
mlflow/...                MLflow's own tags, such as mlflow/user, and data sets
sys/group, sys/parent     the experiment, and the run that a nested run is part of
metrics, images, files    under their own paths
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracking.backends.foreign import UNMAPPED, artifact_path
from tracking.backends.mlflow.address import tracking_uri
from tracking.backends.mlflow.artifacts import downloaded, is_readable, list_files, list_pictures
from tracking.backends.mlflow.experiment import RUNS_PER_PAGE, SWEEP_PARENT_TAG, find_client
from tracking.errors import leaving_out
from tracking.events import CONFIG, IMAGES, Event, Fields, File, Text, Value
from tracking.fields import from_text, to_iso8601
from tracking.png import read_image
from tracking.replay import gather
from tracking.run_files import text_or_file

if TYPE_CHECKING:
    from pathlib import Path

    import mlflow
    import mlflow.entities
    import pandas as pd

    from tracking.tables import Point

_ID = "mlflow-"
_DECIMAL = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
"""A number; neither `00123` nor `1_000`, which Python's `float` takes too."""

_LARGEST = sys.float_info.max
_PARENT = "mlflow.parentRunId"
_STATUSES = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}


def load_runs(store: Path | str) -> pd.DataFrame:
    """One row per run, the oldest first, as `tracking.tables.run_table` describes it.

    MLFLOW_EXPERIMENT_NAME restricts it to one experiment.
    """
    from tracking.tables import run_table

    client = find_client(tracking_uri(store))
    if client is None:
        return run_table({})
    wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    names = {
        experiment.experiment_id: str(experiment.name)
        for experiment in _experiments(client)
        if wanted in (None, "", experiment.name)
    }
    fields: dict[str, dict[str, Value]] = {}
    for number in names:
        for run in _runs(client, number):
            with leaving_out(f"MLflow's run {run.info.run_id}"):
                fields[f"{_ID}{run.info.run_id}"] = _fields(run, names[run.info.experiment_id])
    return run_table(fields)


def load_events(store: Path | str, run: str) -> Iterator[Event]:
    """The complete run as events; none if the store lacks it."""
    uri = tracking_uri(store)
    client = find_client(uri)
    if client is None:
        return
    entry = client.get_run(run.removeprefix(_ID))
    experiment = client.get_experiment(entry.info.experiment_id)
    yield Fields(_fields(entry, str(experiment.name)))
    readable = is_readable(uri, entry.info.artifact_uri, "")
    if readable:
        yield from _files(client, uri, entry)
    yield from gather(_points(client, entry))
    for picture in list_pictures(client, entry) if readable else ():
        with downloaded(client, entry.info.run_id, picture.artifact) as file:
            content = file.read_bytes()
        path = picture.path if picture.path.startswith(f"{IMAGES}/") else f"{IMAGES}/{picture.path}"
        yield from read_image(path, picture.step, picture.time, content)
    outputs = getattr(entry, "outputs", None)
    UNMAPPED["logged model"] += len(outputs.model_outputs) if outputs else 0


def _experiments(client: mlflow.MlflowClient) -> Iterator[mlflow.entities.Experiment]:
    token = None
    while True:
        page = client.search_experiments(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _runs(client: mlflow.MlflowClient, experiment: str) -> Iterator[mlflow.entities.Run]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=RUNS_PER_PAGE, page_token=token)
        yield from (run for run in page if SWEEP_PARENT_TAG not in run.data.tags)
        token = page.token
        if not token:
            return


def _fields(run: mlflow.entities.Run, experiment: str) -> dict[str, Value]:
    info, tags = run.info, run.data.tags
    fields: dict[str, Value] = {
        "sys/id": f"{_ID}{info.run_id}",
        "sys/name": info.run_name or info.run_id,
        "sys/created": to_iso8601(info.start_time or 0),
        "sys/status": _STATUSES.get(info.status, "running"),
        "sys/group": experiment,
    }
    if info.end_time:
        fields["sys/ended"] = to_iso8601(info.end_time)
    if _PARENT in tags:
        fields["sys/parent"] = f"{_ID}{tags[_PARENT]}"
    for name, text in tags.items():
        own, is_own = name.removeprefix("mlflow."), name.startswith("mlflow.")
        fields[f"mlflow/{own}" if is_own else f"tags/{name}"] = text
    for name, text in run.data.params.items():
        fields[f"{CONFIG}/{name}"] = _parse(text)
    for number, entry in enumerate(run.inputs.dataset_inputs if run.inputs else ()):
        for part in ("name", "digest", "source_type", "source"):
            fields[f"mlflow/dataset/{number}/{part}"] = getattr(entry.dataset, part)
    return fields


def _parse(text: str) -> Value:
    """The value of a param, which MLflow stores as the text that Python prints."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    value = from_text(text)
    if isinstance(value, str) and _DECIMAL.fullmatch(text):
        value = float(text)
    return text if _is_odd(value) else value


def _is_odd(value: object) -> bool:
    """Whether a field cannot hold the value: a tree, or a number that is not finite."""
    if isinstance(value, list):
        return any(isinstance(each, (list, dict)) or _is_odd(each) for each in value)
    return isinstance(value, dict) or (isinstance(value, float) and not math.isfinite(value))


def _files(
    client: mlflow.MlflowClient, uri: str, run: mlflow.entities.Run
) -> Iterator[Text | File]:
    run_id, file_paths = run.info.run_id, set[str]()
    for artifact in sorted(list_files(client, run, "")):
        if artifact.startswith(f"{IMAGES}/") and "+step+" in artifact:
            continue  # a picture of an image series
        if not is_readable(uri, run.info.artifact_uri, artifact):
            continue
        path = artifact_path(artifact, file_paths)
        with leaving_out(f"The file {artifact}"), downloaded(client, run_id, artifact) as file:
            yield text_or_file(path, file)


def _points(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> Iterator[Point]:
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            is_infinite = abs(metric.value) >= _LARGEST  # MLflow's stand-in for it
            value = math.copysign(math.inf, metric.value) if is_infinite else metric.value
            yield name, metric.step, metric.timestamp, value
