"""Reads and checks the JSON files of a run, and writes them whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracking.atomic_files import atomic_write
from tracking.errors import StoreError
from tracking.events import SYS, TRACKERS, Value
from tracking.fields import flatten, from_iso8601, to_text
from tracking.run_files import check_no_link

_TAGS = f"{SYS}/tags"
_TEXTS = (
    *("name", "status", "recipe", "group", "created", "ended", "resumed", "error", "command"),
    *("sweep/id", "sweep/name", "sweep/arm"),
)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of a run; empty if there is no file.

    Raises StoreError if the file is damaged.
    """
    check_no_link(path.parent, Path(path.name))
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(tree, dict):
        raise _damaged(path, "it holds no object")
    return tree


def read_field_file(path: Path, prefix: str = "") -> dict[str, Value]:
    """The fields in a file of a run by path; none if there is no file.

    Args:
        path: The file.
        prefix: The beginning of the paths of all fields in it.

    Raises:
        StoreError: The file is damaged, or a field that every run has is missing or of a wrong
            type.
    """
    try:
        fields = flatten(read_json(path), prefix)
    except RecursionError as error:
        raise _damaged(path, "it is nested too deeply") from error
    if not prefix and path.exists():
        try:
            _check(fields)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error
    return fields


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a file of a run."""
    with atomic_write(path) as temporary:
        text = json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
        # File names may have bytes that are not text; they are replaced by an escape valid in JSON.
        temporary.write_bytes(text.encode(errors="backslashreplace"))


def conform(fields: Mapping[str, Value]) -> dict[str, Value]:
    """Fields of another store, with the standard ones converted to the types of ours."""
    return {path: _conform(path, value) for path, value in fields.items()}


def _conform(path: str, value: Value) -> Value:
    if value is None:
        return None
    if _is_text(path):
        return value if isinstance(value, str) else to_text(value)
    if path == _TAGS:
        tags = value if isinstance(value, list) else [value]
        return [tag if isinstance(tag, str) else to_text(tag) for tag in tags]
    return value


def _is_text(path: str) -> bool:
    return path.removeprefix(f"{SYS}/") in _TEXTS or path.startswith(TRACKERS)


def _check(fields: Mapping[str, Value]) -> None:
    """Raise KeyError, TypeError or ValueError unless the standard fields exist with their types."""
    from_iso8601(str(fields[f"{SYS}/created"]))
    for path in (f"{SYS}/name", *fields):
        if _conform(path, fields[path]) != fields[path] and (_is_text(path) or path == _TAGS):
            raise TypeError(f"{path} is {fields[path]!r}")


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {reason[:200]}.\nRepair it, or take {path.parent} out of the store."
    )
