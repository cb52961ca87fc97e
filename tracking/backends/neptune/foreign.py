"""How a run that another program tracked to Neptune reads here.

Values keep their paths. Neptune's own `sys` fields become `sys/neptune/...`, except the standard
ones: name, tags, description, host and failure.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracking.events import ARTIFACTS, IMAGES, SYS, Value

NEPTUNE_FIELDS = f"{SYS}/neptune"
_SHARED_FIELDS = frozenset(
    f"{SYS}/{name}" for name in ("name", "tags", "group_tags", "description", "hostname")
)


def foreign_fields(fields: Mapping[str, Value], run: str, created: str) -> dict[str, Value]:
    """The fields of a run of another program, with those that every run here has.

    Args:
        fields: Its fields by Neptune's paths.
        run: Our id of the run.
        created: When it was created, in ISO 8601.
    """
    return {
        **{_field_path(path): value for path, value in fields.items()},
        "sys/id": run,
        "sys/created": created,
        "sys/name": fields.get("sys/name") or str(fields.get("sys/id") or run),
        "sys/status": "failed" if fields.get("sys/failed") is True else "finished",
    }


def _field_path(path: str) -> str:
    if path in _SHARED_FIELDS or not path.startswith(f"{SYS}/"):
        return path
    return f"{NEPTUNE_FIELDS}/{path.removeprefix(f'{SYS}/')}"


def foreign_document(path: str) -> str:
    """The path of a text or file, which are below `io_files/artifacts` here."""
    return path if path.startswith(f"{ARTIFACTS}/") else f"{ARTIFACTS}/{path}"


def foreign_images(path: str) -> str:
    """The path of a series of pictures, which are below `images` here."""
    return path if path.startswith(f"{IMAGES}/") else f"{IMAGES}/{path}"
