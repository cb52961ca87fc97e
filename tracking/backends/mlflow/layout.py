"""How fields are laid out as MLflow's params and tags, within its limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.events import CONFIG, Value

if TYPE_CHECKING:
    import mlflow.entities

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
    """Whether a field is part of the configuration, and therefore a param; others are tags."""
    return path.startswith(f"{CONFIG}/")


def length_limit(path: str) -> int:
    """How many characters MLflow keeps of a field's text."""
    return _PARAM_LENGTH if is_config(path) else _TAG_LENGTH


def long_field_artifact(path: str) -> str:
    """The artifact that holds the full text of a field that reaches the limit."""
    return f"long_fields/{path}.txt"


def ui_tags(values: Mapping[str, Value]) -> dict[str, str]:
    """The tags from which MLflow's UI shows a run's name and code version."""
    texts = {tag: values.get(path) for path, tag in _UI_TAGS.items()}
    tags = {tag: text[:_TAG_LENGTH] for tag, text in texts.items() if isinstance(text, str)}
    return tags | ({"mlflow.source.type": "LOCAL"} if "mlflow.source.name" in tags else {})


def dataset_input(card: Mapping[str, Value]) -> mlflow.entities.DatasetInput:
    """The fields below `config/dataset/`, by name, as MLflow's record of a data set."""
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
