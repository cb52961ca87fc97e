"""Where and how the parts of a run are stored in W&B's folders."""

from __future__ import annotations

import json
from typing import Any

from tracking.events import Value
from tracking.wording import install_extra

FOLDER = "wandb"
INSTALL = f"W&B's client is not installed: {install_extra('wandb')}"

STEP = "global_step"
"""The key of the training step in a history row."""

TIME = "_timestamp"
"""The key of the time in a history row, in seconds since the Unix epoch."""

IMAGE_TYPE = "image-file"
"""The type that marks a value of a history row as an image."""

_ESCAPED = "json"


def to_config(value: Value) -> Any:
    """A field's value for W&B's config; text that is not valid Unicode is encoded as JSON."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # such as a file name
        return {_ESCAPED: json.dumps(value)}
    return value


def from_config(value: Any) -> Any:
    """The inverse of `to_config`."""
    if isinstance(value, dict) and value.keys() == {_ESCAPED}:
        return json.loads(value[_ESCAPED])
    return value
