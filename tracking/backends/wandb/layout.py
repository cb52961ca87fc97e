"""Where the parts of a run are kept in W&B's folders, and in what form."""

from __future__ import annotations

import json
from typing import Any

from tracking.events import Value
from tracking.wording import install_extra

FOLDER = "wandb"
INSTALL = f"W&B's client is not installed: {install_extra('wandb')}"

STEP = "global_step"
"""The key of a history row that has its training step."""

TIME = "_timestamp"
"""The key of a history row that has its time, in seconds since the Unix epoch."""

IMAGE_TYPE = "image-file"
"""What marks a value of a history row as an image."""

_ESCAPED = "json"


def to_config(value: Value) -> Any:
    """A field's value as W&B's config keeps it; one that is no valid text goes as JSON."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # the name of a file
        return {_ESCAPED: json.dumps(value)}
    return value


def from_config(value: Any) -> Any:
    """The inverse of `to_config`."""
    if isinstance(value, dict) and value.keys() == {_ESCAPED}:
        return json.loads(value[_ESCAPED])
    return value
