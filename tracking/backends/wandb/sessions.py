"""Reads the contents of runs, merged from the folders of their sessions."""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.backends.foreign import artifact_path
from tracking.backends.wandb.layout import FOLDER, IMAGE_TYPE, STEP, TIME, from_config
from tracking.backends.wandb.log_file import read_records
from tracking.errors import StoreError, leaving_out, warn
from tracking.events import ARTIFACTS, CONFIG, IMAGES, Value
from tracking.fields import flatten, to_iso8601
from tracking.run_files import is_behind_link, run_files

if TYPE_CHECKING:
    from tracking.tables import Point

_ROW = "_step"
_SEVERAL_IMAGES = "images/separated"
_CLIENTS_OWN = ("config.yaml", "output.log", "requirements.txt", "conda-environment.yaml")


@dataclass
class Contents:
    """What the store holds of a run.

    Attributes:
        fields: The fields by path; empty if the store lacks the run.
        points: The values of its metrics.
        images: The time in milliseconds since the Unix epoch and the file of each picture, by
            path and step.
        files: The texts and files by path.
        rows: The index that W&B gives to the next row.
    """

    fields: dict[str, Value] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    images: dict[tuple[str, int], tuple[int, Path]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    rows: int = 0


@dataclass
class _Session:
    """The contents of one session's log.

    Attributes:
        folder: The folder of the session.
        run: W&B's record of the run.
        config: The config as nested mappings.
        summary: The summary as nested mappings.
        rows: The rows of the history as nested mappings.
        exit_code: None if the session has not ended.
    """

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None


def read_runs(store: Path) -> dict[str, Contents]:
    """The contents of every run in the store, by id."""
    names = sorted({file.stem.removeprefix("run-") for file in _logs(store, "*")})
    runs = {}
    for name in names:
        with leaving_out(f"The run {name}"):
            if (contents := read_run(store, name)).fields:
                runs[name] = contents
    return runs


def read_run(store: Path, name: str) -> Contents:
    """The contents of one run; empty if the store lacks it."""
    sessions = [_read_session(file) for file in _logs(store, glob.escape(name))]
    sessions = sorted((s for s in sessions if s.run is not None), key=_start)
    if not sessions:
        return Contents()
    config: dict[str, Any] = {}
    for session in sessions:
        config |= session.config
    own = {path: from_config(value) for path, value in config.items() if not path.startswith("_")}
    is_ours = "sys/id" in own
    contents = Contents(fields=own if is_ours else _foreign_fields(name, sessions, own))
    files: dict[str, Path] = {}
    for session in sessions:
        _add(contents, session, STEP if is_ours else _ROW)
        files |= _files(session.folder, ARTIFACTS if is_ours else ".")
        numbers = [int(row.get(_ROW, 0)) + 1 for row in session.rows]
        contents.rows = max([contents.rows, *numbers])
    paths: set[str] = set()
    for file_name in sorted(files):
        contents.files[artifact_path(file_name, paths)] = files[file_name]
    return contents


def _logs(store: Path, name: str) -> list[Path]:
    return sorted((store / FOLDER).glob(f"*run-*/run-{name}.wandb"))


def _start(session: _Session) -> int:
    return int(session.run.start_time.ToMilliseconds())


def _read_session(file: Path) -> _Session:
    session = _Session(file.parent)
    if is_behind_link(file.parents[1], file.relative_to(file.parents[1])):
        warn(f"{file} is a link, or lies behind one, and is not read.")
        return session
    try:
        for record, _ in read_records(file):
            _apply(record, session)
    except StoreError as error:
        warn(f"{error}: the rest is left out.")
    return session


def _apply(record: Any, session: _Session) -> None:
    match record.WhichOneof("record_type"):
        case "run":
            session.run = record.run
            _update(session.config, record.run.config.update)
        case "config":
            _update(session.config, record.config.update)
            for item in record.config.remove:
                session.config.pop(item.key, None)
        case "summary":
            _update(session.summary, record.summary.update)
        case "history":
            session.rows.append({})
            _update(session.rows[-1], record.history.item)
        case "exit":
            session.exit_code = record.exit.exit_code


def _update(tree: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *parents, leaf = item.nested_key or [item.key]
        branch = tree
        for parent in parents:
            below = branch.get(parent)
            if not isinstance(below, dict):
                below = branch[parent] = {}
            branch = below
        branch[leaf] = _value(item)


def _value(item: Any) -> Any:
    """The value of an item: its JSON or, if that is empty, the field of its type."""
    if item.value_json:
        return json.loads(item.value_json)
    kind = item.WhichOneof("value") if item.DESCRIPTOR.oneofs else None
    if kind == "json":
        return json.loads(item.json)
    return getattr(item, kind) if kind and kind != "none" else None


def _add(contents: Contents, session: _Session, step_key: str) -> None:
    for row in session.rows:
        step, seconds = row.pop(step_key, None), row.pop(TIME, None)
        if not isinstance(step, int) or not isinstance(seconds, int | float):
            continue
        time = round(seconds * 1000)
        for path, value in _leaves(row):
            if isinstance(value, Mapping):
                for series, file in _images(path, value, session.folder / "files"):
                    contents.images[series, step] = (time, file)
            else:
                contents.points.append((path, step, time, float(value)))


def _leaves(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers and the images of a row by path; W&B joins nested names by dots."""
    for name, value in row.items():
        path = f"{prefix}{name}"
        if not prefix and name.startswith("_"):
            continue  # the client's own keys
        if isinstance(value, Mapping) and "_type" not in value:
            yield from _leaves(value, f"{path}.")
        elif isinstance(value, Mapping | int | float) and not isinstance(value, bool):
            yield path, value


def _images(path: str, value: Mapping[str, Any], files: Path) -> Iterator[tuple[str, Path]]:
    """The series and the file of each image in a value, which may hold one or several."""
    if value["_type"] == IMAGE_TYPE:
        names = {path: value.get("path")}
    elif value["_type"] == _SEVERAL_IMAGES:
        listed = value.get("filenames") or []
        names = {f"{path}/{number}": name for number, name in enumerate(listed)}
    else:
        return
    for series, name in names.items():
        relative = Path(str(name))
        if relative.is_absolute() or ".." in relative.parts or is_behind_link(files, relative):
            warn(f"The image {name} of {series} is left out: it is not in {files}.")
        elif (files / relative).is_file():
            yield (
                series if series.startswith(f"{IMAGES}/") else f"{IMAGES}/{series}",
                files / relative,
            )


def _files(folder: Path, part: str) -> dict[str, Path]:
    """The texts and files of a session by name, without the client's own."""
    root = folder / "files"
    files = {}
    for file in run_files(root, part):
        relative = file.relative_to(root)
        if relative.parts[0] == "media" or relative.name.startswith("wandb-"):
            continue
        if relative.as_posix() not in _CLIENTS_OWN:
            files[relative.as_posix().removeprefix(f"{ARTIFACTS}/")] = file
    return files


def _foreign_fields(
    name: str, sessions: list[_Session], config: Mapping[str, Any]
) -> dict[str, Value]:
    """The fields of a run that another program made."""
    first, last = sessions[0].run, sessions[-1]
    status = {None: "running", 0: "finished"}.get(last.exit_code, "failed")
    of_run: dict[str, Value] = {
        "sys/name": last.run.display_name,
        "sys/group": last.run.run_group,
        "sys/notes": last.run.notes,
        "sys/tags": list(last.run.tags),
        "sys/project": last.run.project,
        "sys/git/commit": last.run.git.commit,
    }
    logged = {key for session in sessions for row in session.rows for key in row}
    summary = {key: value for key, value in last.summary.items() if key not in logged}
    return {
        **flatten(config, CONFIG),
        **{path: _finite(value) for path, value in flatten(_shown(summary), "sys/summary").items()},
        **{path: value for path, value in of_run.items() if value},
        "sys/id": name,
        "sys/created": to_iso8601(first.start_time.ToMilliseconds()),
        "sys/status": status,
    }


def _shown(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if not key.startswith("_")}


def _finite(value: Value) -> Value:
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
