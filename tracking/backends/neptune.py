"""Neptune 1.14: offline in the store, or the server that its own two variables name.

    config/..., training/..., images/..., io_files/...   under their own paths
    sys/...          under `provenance/...`, since a server keeps `sys` for itself; the name,
                     the tags, the group and a failure also go to Neptune's own fields there
    non_finite/...   the NaN and infinite values of a series, which the client drops
    long_fields/...  files: the whole of each text longer than Neptune keeps

The client loses nothing offline that it has flushed, and it is flushed after each event. An
offline run that is opened again gets a second folder; the reader puts them together.

Online it is the server that says what it has of a run that is opened again: what the client
notes on the disk can lag behind what arrived. Of pictures a server tells only how many there
are, so that their order is noted in `pictures/`.
"""

from __future__ import annotations

import atexit
import base64
import itertools
import json
import logging
import math
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from tracking.atomic_files import atomic_write
from tracking.errors import StoreError
from tracking.events import CONFIG, SYS, Event, Fields, File, Image, Metrics, Text, Value
from tracking.fields import from_text, to_iso8601, to_text
from tracking.png import from_png, to_png
from tracking.replay import gather
from tracking.tracker import Held, Run, Status

if TYPE_CHECKING:
    import neptune
    import pandas as pd

    from tracking.tables import Point

DATA_FOLDER = "neptune"
PROVENANCE = "provenance"
NON_FINITE = "non_finite"
LONG_FIELDS = "long_fields"

ANSWER_SECONDS = 4.0
STOP_SECONDS = 20.0
_TEXT_LENGTH = 16_384
_INTEGERS = range(-(2**31), 2**31)

_logger = logging.getLogger(__name__)
_opening = threading.Lock()


class NeptuneTracker:
    """Writes one run with Neptune's own client.

    Offline all is on the disk when a call returns. Where both NEPTUNE_API_TOKEN and
    NEPTUNE_PROJECT are set it is sent to their server; one that does not answer within
    seconds is told once, and the run is kept offline. What a server has not taken when the
    run ends stays on the disk for `neptune sync`, and closing raises.
    """

    def __init__(self, run: Run, store: Path) -> None:
        self._data = store / DATA_FOLDER
        self._files = self._data / "files" / run.id
        self._sent_pictures = self._data / "pictures" / f"{run.id}.jsonl"
        self._types: dict[str, type] = {}
        online = _open_online(run, store, self._sent_pictures)
        self._offline = online is None
        self._run, self._held = online or _open_offline(run, store)
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        self.write(Fields(identity))

    def held(self) -> Held:
        return self._held

    def write(self, event: Event) -> None:
        from neptune.types import File as Upload

        match event:
            case Fields(values):
                for path, value in values.items():
                    self._write_field(path, value)
            case Metrics():
                for path in event.values:
                    self._write_series(event, path)
            case Image(path, step, time, pixels):
                if not self._offline:
                    _note_picture(self._sent_pictures, path, step)
                picture = Upload.from_content(to_png(pixels), extension="png")
                self._run[path].append(picture, step=step, timestamp=time / 1000)
            case Text(path, content):
                self._run[path].upload(Upload.from_content(content, extension="txt"))
            case File(path, source):
                self._run[path].upload(str(self._keep(path, source)))
        if self._offline:
            self._run.wait(disk_only=True)

    def close(self, status: Status) -> None:
        self._write_field("sys/status", status)
        self._run["sys/failed"] = status == "failed"
        self._run.stop(seconds=STOP_SECONDS)
        if not self._offline and _queue_folder(self._run).exists():
            raise StoreError(
                "Neptune's server has not taken all of the run; "
                f"the rest is in {self._data}, for the command `neptune sync`"
            )

    def _write_field(self, path: str, value: Value) -> None:
        from neptune.types import File as Upload

        kind = type(value) if _is_native(value) else str
        if self._types.setdefault(path, kind) is not kind:
            self._run.pop(_to_neptune(path))  # a field keeps the type of its first value
            self._types[path] = kind
        if _is_native(value):
            self._run[_to_neptune(path)] = value
        else:
            text = to_text(value)
            # A text that fills the limit is cut there, and the whole of it is a file.
            if len(text) >= _TEXT_LENGTH:
                whole = Upload.from_content(text, extension="txt")
                self._run[f"{LONG_FIELDS}/{path}"].upload(whole)
            self._run[_to_neptune(path)] = text[:_TEXT_LENGTH]
        if path == "sys/tags" and isinstance(value, list) and value:
            self._run["sys/tags"].add([str(tag) for tag in value])
        if path == "sys/group" and isinstance(value, str):
            self._run["sys/group_tags"].add([value])

    def _write_series(self, block: Metrics, path: str) -> None:
        points = zip(block.values[path], block.steps, block.times, strict=True)
        # In the order of the steps, so that wherever the client is interrupted the last step of
        # the two series together is that of a prefix.
        for finite, kept in itertools.groupby(points, key=lambda point: math.isfinite(point[0])):
            values, steps, times = zip(*kept, strict=True)
            self._run[path if finite else f"{NON_FINITE}/{path}"].extend(
                list(values if finite else map(str, values)),
                steps=list(steps),
                timestamps=[time / 1000 for time in times],
            )

    def _keep(self, path: str, source: Path) -> Path:
        """Copy a file: the client notes only where it is, and reads it when it sends it."""
        copy = self._files / f"{path}{source.suffix}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(source, copy))


def open_tracker(run: Run, store: Path) -> NeptuneTracker:
    return NeptuneTracker(run, store)


def load_runs(store: Path) -> pd.DataFrame:
    """One row an offline run, as `tracking.tables.run_table` describes it.

    A run that was not made here has its container's id and the fields that it has.
    """
    from tracking.tables import run_table

    runs: dict[str, dict[str, Value]] = {}
    for container in _containers(store):
        runs.setdefault(container.run, {}).update(container.fields)
    return run_table(runs)


def load_steps(store: Path, run: str) -> pd.DataFrame:
    """One row a step of one offline run, as `tracking.tables.step_table` describes it."""
    from tracking.tables import step_table

    return step_table(run, _points(store, run))


def load_tails(store: Path, run: str, paths: Sequence[str], share: float) -> dict[str, pd.Series]:
    """The last values of metrics by path, as `tracking.tables.ends_of` gives them."""
    from tracking.tables import tails_of

    return tails_of(_points(store, run), paths, share)


def load_last_values(store: Path, run: str) -> dict[str, float]:
    """The newest value of each metric, by path."""
    from tracking.tables import last_values

    return last_values(_points(store, run))


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The whole of one offline run as events; nothing where the store lacks it."""
    containers = _containers(store, run)
    if not containers:
        return
    fields: dict[str, Value] = {}
    files: dict[str, Path] = {}
    images: dict[tuple[str, int], tuple[int, bytes]] = {}
    for container in containers:
        fields |= container.fields
        files |= container.files
        images |= container.images
    yield Fields(fields)
    for path, file in sorted(files.items()):
        if path.startswith(f"{LONG_FIELDS}/"):
            continue
        if file.suffix == ".txt":
            yield Text(path, file.read_bytes().decode())
        else:
            yield File(path, file)
    yield from gather(point for container in containers for point in container.points)
    for (path, step), (time, content) in sorted(images.items()):
        yield Image(path, step, time, from_png(content))


@dataclass
class _Container:
    """What one offline folder holds.

    run: our id of the run, else the container's. began: seconds since the Unix epoch.
    cut: the fields too long to be whole here. images: by path and step each one's time in
    milliseconds since the Unix epoch, and the PNG file.
    """

    run: str
    began: float = 0.0
    fields: dict[str, Value] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    points: list[Point] = field(default_factory=list)
    images: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


def _open_online(run: Run, store: Path, sent_pictures: Path) -> tuple[neptune.Run, Held] | None:
    """Open the run on its server if that is asked for and possible."""
    token = os.environ.get("NEPTUNE_API_TOKEN")
    if not token or not os.environ.get("NEPTUNE_PROJECT"):
        return None
    try:
        _await_server(token)
        opened = _init_run(run, store, "async")
        try:
            held = _held_by_server(opened, sent_pictures)
            _forget_unsent(opened)
        except Exception:
            opened.stop(seconds=0)
            raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        _logger.warning("Neptune's server cannot be used, the run is kept offline: %s", reason)
        return None
    return opened, held


def _open_offline(run: Run, store: Path) -> tuple[neptune.Run, Held]:
    held = _held(_containers(store, run.id))
    return _init_run(run, store, "offline"), held


def _await_server(token: str) -> None:
    """Raise unless the server answers soon: the client would wait for a silent one for ever."""
    os.environ.setdefault("NEPTUNE_RETRIES_TIMEOUT", "5")
    answer: Future[None] = Future()
    # Not a thread that an exit waits for: to look a name up can take long, and has no limit.
    threading.Thread(target=_ask_server, args=(token, answer), daemon=True).start()
    began = monotonic()
    import neptune  # noqa: F401  (takes seconds as well)

    try:
        answer.result(max(0, began + ANSWER_SECONDS - monotonic()))
    except TimeoutError:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS:.0f} s") from None


def _ask_server(token: str, answer: Future[None]) -> None:
    """Fetch what the client fetches first."""
    try:
        import requests

        url = urljoin(_address(token), "/api/backend/swagger.json")
        verify = not os.environ.get("NEPTUNE_ALLOW_SELF_SIGNED_CERTIFICATE")
        requests.get(url, timeout=ANSWER_SECONDS, verify=verify).raise_for_status()
        answer.set_result(None)
    except Exception as error:
        answer.set_exception(error)


def _address(token: str) -> str:
    try:
        content = json.loads(base64.b64decode(token))
        address = str(content.get("api_url") or content["api_address"])
    except Exception:
        raise ValueError("NEPTUNE_API_TOKEN is not the token of any server") from None
    return address if "://" in address else f"https://{address}"


def _init_run(run: Run, store: Path, mode: str) -> neptune.Run:
    import neptune
    from neptune.internal.utils.uncaught_exception_handler import instance as exception_hook

    # The terminal belongs to the progress bar of the training.
    logging.getLogger("neptune").setLevel(logging.ERROR)
    with _opening:  # the client takes its folder from the environment
        before = os.environ.get("NEPTUNE_DATA_DIRECTORY")
        os.environ["NEPTUNE_DATA_DIRECTORY"] = str((store / DATA_FOLDER).absolute())
        try:
            opened = neptune.init_run(
                mode=mode,
                custom_run_id=run.id,
                name=run.name,
                source_files=[],
                git_ref=False,
                capture_stdout=False,
                capture_stderr=False,
                capture_traceback=False,
                capture_hardware_metrics=False,
            )
        finally:
            if before is None:
                del os.environ["NEPTUNE_DATA_DIRECTORY"]
            else:
                os.environ["NEPTUNE_DATA_DIRECTORY"] = before
    # Both would act for the whole process: tracebacks printed twice, an exit that waits.
    exception_hook.deactivate()
    atexit.unregister(opened._shutdown_hook)
    return opened


def _queue_folder(opened: neptune.Run) -> Path:
    """Where the client keeps what it has not sent; it removes the folder once all is sent."""
    return Path(opened._op_processor.data_path)


def _held_by_server(opened: neptune.Run, sent_pictures: Path) -> Held:
    from neptune.internal.backends.api_model import AttributeType

    backend, where = opened._backend, (opened._id, opened.container_type)
    points = {
        AttributeType.FLOAT_SERIES: backend.get_float_series_values,
        AttributeType.STRING_SERIES: backend.get_string_series_values,
    }
    last: dict[str, int] = {}
    pictures: Counter[str] = Counter()
    files: set[str] = set()
    for attribute in backend.get_attributes(*where):
        path, series = attribute.path, (*where, attribute.path.split("/"))
        if attribute.type in points:
            metric = path.removeprefix(f"{NON_FINITE}/")
            step = _last_step(points[attribute.type], *series)
            last[metric] = max(step, last.get(metric, step))
        elif attribute.type is AttributeType.IMAGE_SERIES:
            pictures[path] = backend.get_image_series_values(*series, 0, 1).totalItemCount
        elif attribute.type is AttributeType.FILE:
            files.add(path)
    return Held(last, frozenset(_confirmed_pictures(sent_pictures, pictures)), frozenset(files))


def _last_step(fetch: Callable[..., Any], *series: Any) -> int:
    count = fetch(*series, 0, 1).totalItemCount
    return int(fetch(*series, count - 1, 1).values[-1].step) if count else -1


def _note_picture(sent_pictures: Path, path: str, step: int) -> None:
    """Before the client has it, so that the server never has one that is not noted."""
    sent_pictures.parent.mkdir(parents=True, exist_ok=True)
    with sent_pictures.open("a", encoding="utf-8") as notes:
        notes.write(json.dumps([path, step]) + "\n")


def _confirmed_pictures(sent_pictures: Path, counts: Counter[str]) -> list[tuple[str, int]]:
    """The pictures that the server has, the first of each series; other notes are dropped."""
    if not sent_pictures.exists():
        return []
    whole, _, _ = sent_pictures.read_text(encoding="utf-8").rpartition("\n")
    left = counts.copy()
    confirmed = []
    for path, step in map(json.loads, whole.splitlines()):
        if left[path] > 0:
            left[path] -= 1
            confirmed.append((str(path), int(step)))
    with atomic_write(sent_pictures) as temporary:
        temporary.write_text("".join(json.dumps(each) + "\n" for each in confirmed))
    return confirmed


def _forget_unsent(opened: neptune.Run) -> None:
    """Drop what earlier processes queued for this run and never sent.

    All of it is in the journal, from where it is sent now; a later `neptune sync` would
    send it again.
    """
    own = _queue_folder(opened)
    for folder in own.parent.glob(f"run__{opened._id}__*"):
        if folder.name != own.name:
            shutil.rmtree(folder)


def _to_neptune(path: str) -> str:
    rest = path.removeprefix(f"{SYS}/")
    return path if rest == path else f"{PROVENANCE}/{rest}"


def _from_neptune(path: str) -> str:
    rest = path.removeprefix(f"{PROVENANCE}/")
    return path if rest == path else f"{SYS}/{rest}"


def _is_native(value: Value) -> bool:
    """Whether Neptune has a type of its own for a value, text aside."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return value in _INTEGERS
    return isinstance(value, float) and math.isfinite(value)


def _held(containers: list[_Container]) -> Held:
    last: dict[str, int] = {}
    for container in containers:
        for path, step, _, _ in container.points:
            last[path] = max(step, last.get(path, step))
    return Held(
        last_step=last,
        images=frozenset(key for each in containers for key in each.images),
        files=frozenset(path for each in containers for path in each.files),
    )


def _containers(store: Path, run: str | None = None) -> list[_Container]:
    """All offline folders in the store, or those of one run, in the order of their making."""
    folders = (store / DATA_FOLDER / "offline").glob("run__*")
    containers = [_read_container(folder) for folder in folders]
    chosen = [each for each in containers if run is None or each.run == run]
    return sorted(chosen, key=lambda container: container.began)


def _points(store: Path, run: str) -> list[Point]:
    return [point for container in _containers(store, run) for point in container.points]


def _read_container(folder: Path) -> _Container:
    container = _Container(run=folder.name.split("__")[1])
    for operation, time in _operations(folder):
        container.began = container.began or time
        _apply(operation, container, folder)
    own = {
        _from_neptune(path): value
        for path, value in container.fields.items()
        if path.startswith((f"{CONFIG}/", f"{PROVENANCE}/"))
    }
    if "sys/id" in own:  # made here: Neptune's own fields say nothing new
        cut = map(_from_neptune, container.cut)
        container.fields = own | {path: _whole(path, container) for path in cut if path in own}
        container.run = str(own["sys/id"])
    return container


def _operations(folder: Path) -> Iterator[tuple[Any, float]]:
    """What the client wrote down and when, by its own parser; a torn end is left out."""
    from neptune.core.components.queue.json_file_splitter import JsonFileSplitter
    from neptune.internal.operation import Operation

    logs = sorted(folder.glob("data-*.log"), key=lambda log: int(log.stem.partition("-")[2]))
    for log in logs:
        with JsonFileSplitter(log) as entries:
            while entry := entries.get():
                yield Operation.from_dict(entry["obj"]), entry["at"]


def _apply(operation: Any, container: _Container, folder: Path) -> None:
    from neptune.internal import operation as operations

    path = "/".join(operation.path)
    match operation:
        case operations.AssignString(value=value):
            container.fields[path] = from_text(value)
            (container.cut.add if len(value) == _TEXT_LENGTH else container.cut.discard)(path)
        case (
            operations.AssignBool(value=value)
            | operations.AssignInt(value=value)
            | operations.AssignFloat(value=value)
        ):
            container.fields[path] = value
            container.cut.discard(path)
        case operations.AddStrings(values=values):
            container.fields[path] = sorted(values)
        case operations.LogFloats(values=values):
            container.points += (_point(path, value) for value in values)
        case operations.LogStrings(values=values) if path.startswith(f"{NON_FINITE}/"):
            path = path.removeprefix(f"{NON_FINITE}/")
            container.points += (_point(path, value) for value in values)
        case operations.LogImages(values=values):
            for value in values:
                content = base64.b64decode(value.value.data)
                container.images[path, int(value.step or 0)] = (round(value.ts * 1000), content)
        case operations.UploadFile(file_path=file_path, tmp_file_name=name):
            kept = Path(file_path) if file_path else folder / "upload_path" / name
            container.files[path] = kept


def _point(path: str, value: Any) -> Point:
    return path, int(value.step or 0), round(value.ts * 1000), float(value.value)


def _whole(path: str, container: _Container) -> Value:
    """A field whose text was cut, from the file that has all of it."""
    return from_text(container.files[f"{LONG_FIELDS}/{path}"].read_bytes().decode())
