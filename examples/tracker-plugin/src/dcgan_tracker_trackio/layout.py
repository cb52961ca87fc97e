"""Where trackio keeps the runs of a store, and in what form."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

from tracking.events import Value
from tracking.fields import from_text, to_text

IMAGE_TYPE = "trackio.image"
"""What marks a logged value as a picture."""

FILES = "files"
"""The folder of texts and files among a run's media."""

_RESERVED = ("project", "run", "timestamp", "step", "time", "metrics")
_RENAMED = "__"
_INTEGERS = range(-(2**53), 2**53)  # what JavaScript, and so the dashboard, shows exactly


def project_of(store: Path) -> str:
    """The name of a store's project: that of its folder, and a hash of where it is."""
    path = store.absolute()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return f"dcgan-{path.name}-{digest}"


def media_folder(project: str, run: str) -> Path:
    """The folder of a run's media; it may not exist."""
    from trackio.utils import project_media_dir

    return Path(project_media_dir(project)) / run


def to_key(path: str) -> str:
    """The key under which a metric or an image is logged, as `trackio.log` would rename it."""
    return f"{_RENAMED}{path}" if path in _RESERVED or path.startswith(_RENAMED) else path


def from_key(key: str) -> str:
    """The inverse of `to_key`."""
    return key.removeprefix(_RENAMED)


def to_config(value: Value) -> bool | int | float | str:
    """A field's value as the dashboard can compare it: numbers as they are, the rest as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in _INTEGERS:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return to_text(value)


def from_config(value: Value) -> Value:
    """The inverse of `to_config`."""
    return from_text(value) if isinstance(value, str) else value
