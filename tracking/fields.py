"""Field values as flat paths and as text, for stores that hold nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tracking.events import CONFIG, Value

_NOT_JSON = (ValueError, RecursionError)  # the latter if a text begins with many brackets


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """`{"optimizer": {"lr": 1e-3}}` to `{"optimizer/lr": 1e-3}`; lists stay lists.

    The key "" holds the value of a path that is also the beginning of others.
    """
    flat: dict[str, Value] = {}
    for key, value in tree.items():
        path = f"{prefix}/{key}" if prefix and key else prefix or key
        if isinstance(value, Mapping):
            flat.update(flatten(value, path))
        else:
            flat[path] = list(value) if isinstance(value, tuple) else value
    return flat


def nest(flat: Mapping[str, Value]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split("/")
        branch = tree
        for parent in parents:
            below = branch.setdefault(parent, {})
            if not isinstance(below, dict):
                below = branch[parent] = {"": below}
            branch = below
        if isinstance(branch.get(leaf), dict):
            branch[leaf][""] = value
        else:
            branch[leaf] = value
    return tree


def to_text(value: Value) -> str:
    """A value as text that `from_text` turns back into the same value and type.

    Strings are unquoted, unless they would read as JSON: `"true"` keeps its quotes.
    """
    if isinstance(value, str) and value != "" and not _is_json(value):
        return value
    return json.dumps(value)


def from_text(text: str) -> Value:
    """The inverse of `to_text`."""
    try:
        value: Value = json.loads(text)
    except _NOT_JSON:
        return text
    return value


def config_key(path: str) -> str:
    """The key of a configuration's path: `config/optimizer/lr` to `optimizer.lr`."""
    return path.removeprefix(f"{CONFIG}/").replace("/", ".")


def config_path(key: str) -> str:
    """The path of a configuration's key; the inverse of `config_key`."""
    return f"{CONFIG}/{key.replace('.', '/')}"


def escape_control_characters(text: object) -> str:
    """Escape unprintable characters, which could control a terminal or fail to encode."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in str(text)
    )


def to_iso8601(milliseconds: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso8601(text: str) -> int:
    """Milliseconds since the Unix epoch; the inverse of `to_iso8601`."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except _NOT_JSON:
        return False
    return True
