"""How fields are laid out as MLflow's params and tags, within its limits."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.backends.mlflow.names import from_mlflow, to_mlflow
from tracking.events import CONFIG, Value

if TYPE_CHECKING:
    import mlflow.entities

    from tracking.tables import Point

NON_FINITE = "non_finite"
"""Prefix of metrics with the NaN and infinite values, since MLflow's UI cannot draw these."""

DIVERGED_TAG = "diverged_from_step"
"""Tag with the step since which a loss has not been finite; for users, not a field."""

_PARAM_LENGTH = 6000
_TAG_LENGTH = 8000
_DIGEST_LENGTH = 36

_UI_TAGS = {
    "sys/name": "mlflow.runName",
    "sys/git/commit": "mlflow.source.git.commit",
    "sys/git/branch": "mlflow.source.git.branch",
    "sys/command": "mlflow.source.name",
}


def is_config(path: str) -> bool:
    """Whether a field is part of the configuration and so a param; other fields are tags."""
    return path.startswith(f"{CONFIG}/")


def metric_name(path: str, *, finite: bool = True) -> str:
    """MLflow's name for a metric's finite values, or for its others."""
    name = to_mlflow(path)
    if name.startswith(f"{NON_FINITE}/"):
        name = f"_x{ord(name[0]):x}_{name[1:]}"
    return name if finite else f"{NON_FINITE}/{name}"


def metric_path(name: str) -> str:
    """The path of a metric, by either of its names."""
    return from_mlflow(name.removeprefix(f"{NON_FINITE}/"))


def to_metric_value(value: float) -> float:
    """The number that MLflow gets: NaN becomes 0, the infinities 1 and -1, under their own name."""
    if math.isfinite(value):
        return value
    return 0.0 if math.isnan(value) else math.copysign(1.0, value)


def from_metric_value(name: str, number: float) -> float:
    """The value of a metric from MLflow's name and number.

    Runs that were tracked before version 0.3 have NaN under their metric's own name, and
    infinities as the largest float.
    """
    if name.startswith(f"{NON_FINITE}/"):
        return math.copysign(math.inf, number) if number else math.nan
    return math.copysign(math.inf, number) if abs(number) >= sys.float_info.max else number


def latest_points(run: mlflow.entities.Run) -> list[Point]:
    """The latest value at the highest step of each metric, finite and other values separately."""
    # Only the protobuf has steps and times.
    return [
        (
            metric_path(metric.key),
            metric.step,
            metric.timestamp,
            from_metric_value(metric.key, metric.value),
        )
        for metric in run.to_proto().data.metrics
    ]


def length_limit(path: str) -> int:
    """How many characters MLflow can store of a field's text."""
    return _PARAM_LENGTH if is_config(path) else _TAG_LENGTH


def long_field_artifact(path: str) -> str:
    """The artifact that holds the full text of a field that reaches the limit."""
    return f"long_fields/{path}.txt"


def ui_tags(values: Mapping[str, Value]) -> dict[str, str]:
    """The tags by which MLflow's UI shows a run's name and code version."""
    texts = {tag: values.get(path) for path, tag in _UI_TAGS.items()}
    tags = {tag: text[:_TAG_LENGTH] for tag, text in texts.items() if isinstance(text, str)}
    return tags | ({"mlflow.source.type": "LOCAL"} if "mlflow.source.name" in tags else {})


def dataset_input(card: Mapping[str, Value]) -> mlflow.entities.DatasetInput:
    """MLflow's record of a data set. card: The fields below `config/dataset/`, by name."""
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
