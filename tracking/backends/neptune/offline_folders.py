"""The folders that Neptune's client writes offline, read by the client's own parser."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.backends.neptune.foreign import foreign_fields
from tracking.backends.neptune.layout import (
    LONG_FIELDS,
    NON_FINITE,
    OWN_FIELDS,
    TEXT_LENGTH,
    from_neptune,
    to_neptune,
)
from tracking.errors import leaving_out, warn
from tracking.events import Value
from tracking.fields import from_text, to_iso8601
from tracking.replay import digests_of, last_of
from tracking.sources import NEPTUNE_RUNS
from tracking.tracker import Held

if TYPE_CHECKING:
    from tracking.tables import Point


@dataclass
class Container:
    """The contents of one offline folder.

    Attributes:
        run: Our id of the run, or the container's id for a run of another program.
        began: When the folder was begun, in seconds since the Unix epoch.
        made_here: Whether this program tracked the run.
        fields: The fields by path.
        cut: The paths of fields whose text reaches Neptune's limit, so its rest may be in a file.
        points: The values of the metrics.
        images: The time in milliseconds since the Unix epoch and the PNG file of each picture,
            by path and step.
        files: The texts and files by path.
        lines: The series of texts by path, with the step before each text and a tab between.
        unmapped: The kind of what cannot be read, by path.
        steps: The last step of each series so far.
    """

    run: str
    began: float = 0.0
    made_here: bool = False
    fields: dict[str, Value] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    points: list[Point] = field(default_factory=list)
    images: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    unmapped: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)


def read_containers(store: Path, run: str | None = None) -> list[Container]:
    """All offline folders in the store, or those of one run, the oldest first."""
    containers = []
    for folder in store.glob(NEPTUNE_RUNS):
        with leaving_out(str(folder)):
            if run is None or _run_of(folder, _log_sizes(folder)) == run:
                containers.append(_read_container(folder))
    return sorted(containers, key=lambda container: container.began)


def read_points(store: Path, run: str) -> list[Point]:
    """The values of all metrics of one run, in the order of writing."""
    return [point for container in read_containers(store, run) for point in container.points]


def held_offline(store: Path, run: str) -> Held:
    """What the store holds of one run."""
    containers = read_containers(store, run)
    points = (point for container in containers for point in container.points)
    last_step, last_time = last_of(points)
    files = {path: file for each in containers for path, file in each.files.items()}
    return Held(
        last_step=last_step,
        last_time=last_time,
        images=frozenset(key for container in containers for key in container.images),
        files=frozenset(files),
        digests=digests_of(files),
    )


def read_operations(folder: Path) -> Iterator[tuple[Any, float]]:
    """Each operation that the client wrote to a folder, with its time in seconds.

    An incomplete last operation is left out.
    """
    from neptune.core.components.queue.json_file_splitter import JsonFileSplitter
    from neptune.internal.operation import Operation

    for log in _logs(folder):
        with JsonFileSplitter(log) as entries:
            while entry := entries.get():
                yield Operation.from_dict(entry["obj"]), entry["at"]


def _logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("data-*.log"), key=lambda log: int(log.stem.partition("-")[2]))


def _log_sizes(folder: Path) -> tuple[int, ...]:
    return tuple(log.stat().st_size for log in _logs(folder))


@cache
def _run_of(folder: Path, log_sizes: tuple[int, ...]) -> str:
    """`Container.run` of a folder, found without reading all of a run of ours.

    Cached, or reading every run in turn would open each folder as often as there are runs.

    Args:
        folder: The offline folder.
        log_sizes: The sizes of its logs, so that a folder that has grown is read again.
    """
    from neptune.internal.operation import AssignString

    for operation, _ in read_operations(folder):
        if isinstance(operation, AssignString) and "/".join(operation.path) == to_neptune("sys/id"):
            return str(from_text(operation.value))
    return _container_id(folder)


def _read_container(folder: Path) -> Container:
    container = Container(run=_container_id(folder))
    for operation, time in read_operations(folder):
        container.began = container.began or time
        _apply(operation, container, folder)
    own = {
        from_neptune(path): value
        for path, value in container.fields.items()
        if path.startswith(OWN_FIELDS)
    }
    if "sys/id" in own:  # a run of ours: Neptune's own fields add nothing
        cut = map(from_neptune, container.cut)
        container.fields = own | {path: _full_value(path, container) for path in cut if path in own}
        container.run = str(own["sys/id"])
        container.made_here = True
    else:
        created = to_iso8601(round(container.began * 1000))
        container.fields = foreign_fields(container.fields, container.run, created)
    return container


def _container_id(folder: Path) -> str:
    """Neptune's own id of a run, in a folder's name: `run__<id>__...`."""
    return folder.name.split("__")[1]


def _apply(operation: Any, container: Container, folder: Path) -> None:
    from neptune.internal import operation as operations

    path = "/".join(operation.path)
    match operation:
        case operations.AssignString(value=value):
            container.fields[path] = from_text(value)
            (container.cut.add if len(value) == TEXT_LENGTH else container.cut.discard)(path)
        case (
            operations.AssignBool(value=value)
            | operations.AssignInt(value=value)
            | operations.AssignFloat(value=value)
        ):
            container.fields[path] = value
            container.cut.discard(path)
        case operations.AssignDatetime(value=value):
            container.fields[path] = to_iso8601(round(value.timestamp() * 1000))
        case operations.AddStrings(values=values):
            container.fields[path] = sorted(_strings(container, path) | values)
        case operations.RemoveStrings(values=values):
            container.fields[path] = sorted(_strings(container, path) - values)
        case operations.ClearStringSet():
            container.fields[path] = []
        case operations.LogFloats(values=values):
            container.points += (_point(container, path, value) for value in values)
        case operations.LogStrings(values=values) if path.startswith(f"{NON_FINITE}/"):
            path = path.removeprefix(f"{NON_FINITE}/")
            container.points += (_point(container, path, value) for value in values)
        case operations.LogStrings(values=values):
            container.lines.setdefault(path, []).extend(
                f"{_step(container, path, value)}\t{value.value}\n" for value in values
            )
        case operations.LogImages(values=values):
            for value in values:
                content = base64.b64decode(value.value.data)
                step = _step(container, path, value)
                container.images[path, step] = (round(value.ts * 1000), content)
        case operations.UploadFile(file_path=file_path, tmp_file_name=name):
            source = Path(file_path) if file_path else folder / "upload_path" / name
            data = folder.parents[1]
            if source.resolve().is_relative_to(data.resolve()):
                container.files[path] = source
            else:
                warn(f"{path} is left out: its file is not in {data}.")
        case operations.UploadFileSet(file_globs=[_, *_]):
            container.unmapped[path] = "file set"
        case operations.TrackFilesToArtifact():
            container.unmapped[path] = "artifact"
        case (
            operations.DeleteAttribute()
            | operations.ClearFloatLog()
            | operations.ClearStringLog()
            | operations.ClearImageLog()
        ):
            _delete(path, container)


def _strings(container: Container, path: str) -> set[str]:
    held = container.fields.get(path)
    return set(map(str, held)) if isinstance(held, list) else set()


def _delete(path: str, container: Container) -> None:
    container.fields.pop(path, None)
    container.files.pop(path, None)
    container.lines.pop(path, None)
    container.unmapped.pop(path, None)
    container.cut.discard(path)
    if container.steps.pop(path, None) is not None:
        container.points = [point for point in container.points if point[0] != path]
        container.images = {key: each for key, each in container.images.items() if key[0] != path}


def _point(container: Container, path: str, value: Any) -> Point:
    return path, _step(container, path, value), round(value.ts * 1000), float(value.value)


def _step(container: Container, path: str, value: Any) -> int:
    """The step of a value; if it has none, the next of its series, as a server counts them.

    Raises ValueError for a step that is not a whole number, since it cannot be kept.
    """
    step = container.steps.get(path, -1) + 1 if value.step is None else value.step
    if step != int(step):
        raise ValueError(f"{step} is not a whole number of steps")
    container.steps[path] = int(step)
    return int(step)


def _full_value(path: str, container: Container) -> Value:
    """The full text of a field that was cut, from its file."""
    file = container.files.get(f"{LONG_FIELDS}/{path}")
    return from_text(file.read_bytes().decode()) if file else container.fields[to_neptune(path)]
