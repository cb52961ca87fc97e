"""Keys of metrics in records that also have the keys `run`, `step` and `time`.

Lines of a journal and tables of steps use these three names. A metric with one of these names,
common in runs that were tracked elsewhere, gets a slash in front; no other path begins with one.
"""

from __future__ import annotations

_RESERVED = ("run", "step", "time")


def metric_key(path: str) -> str:
    """The key of a metric's path: `/step` for `step`, and for most paths the path itself."""
    return f"/{path}" if path.lstrip("/") in _RESERVED else path


def metric_path(key: str) -> str:
    """The inverse of `metric_key`."""
    return key[1:] if key.startswith("/") and key.lstrip("/") in _RESERVED else key
