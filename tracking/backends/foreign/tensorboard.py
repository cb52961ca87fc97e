"""TensorBoard runs of other programs: every folder with event files, at any depth.

    config/...                hparams
    metrics                   scalars under their own tags
    images/<tag>              images; /0, /1 ... if there are several at a step
    io_files/artifacts/<tag>  texts; with the step if there are several

Histograms, audio, graphs and other kinds are left out and counted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.backends.foreign import UNMAPPED, artifact_path
from tracking.backends.tensorboard import FIELDS_TAG
from tracking.errors import StoreError, leaving_out, warn
from tracking.events import CONFIG, IMAGES, Event, Fields, Image, Text, Value
from tracking.fields import to_iso8601
from tracking.png import from_png
from tracking.replay import gather
from tracking.run_files import run_files

if TYPE_CHECKING:
    import pandas as pd

    from tracking.tables import Point

_EVENT_FILE = "tfevents"
_TRIAL = re.compile(r"\d{9,}(?:\.\d+)?")
"""The folder in which PyTorch's `add_hparams` writes is named by the time."""

_HPARAMS = "_hparams_/session_start_info"
_KINDS = {"histograms": "histogram", "audio": "sound", "pr_curves": "precision-recall curve"}


def load_runs(store: Path) -> pd.DataFrame:
    """One row per run, the oldest first, as `tracking.tables.run_table` describes it."""
    from tracking.tables import run_table

    runs = {}
    for run, files in _runs(store).items():
        with leaving_out(f"The run {run}"):
            runs[run] = _fields(store, run, files, _read(files))
    return run_table(runs)


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The complete run as events; none if the store lacks it."""
    files = _runs(store).get(run)
    if files is None:
        return
    contents = _read(files)
    for kind, tags in contents.unmapped.items():
        UNMAPPED[kind] += len(tags)
    yield Fields(_fields(store, run, files, contents))
    file_paths: set[str] = set()
    for tag, texts in contents.texts.items():
        for step, text in texts.items():
            yield Text(artifact_path(tag if len(texts) == 1 else f"{tag}/{step}", file_paths), text)
    yield from gather(contents.points)
    for path, step, time, content in contents.images:
        try:
            yield Image(path, step, time, from_png(content))
        except StoreError as error:
            warn(f"The image of {path} at step {step} is left out: {error}.")


@dataclass
class _Contents:
    """The contents of a run's event files.

    Attributes:
        hparams: Values by name.
        points: The values of the metrics.
        texts: The texts by tag and step.
        images: Path, step, time in milliseconds since the Unix epoch, and the picture's file.
        unmapped: Kind -> tags, for kinds that a journal cannot hold.
        times: The times of the first and the last record, in seconds since the Unix epoch.
    """

    hparams: dict[str, Value] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    texts: dict[str, dict[int, str]] = field(default_factory=dict)
    images: list[tuple[str, int, int, bytes]] = field(default_factory=list)
    unmapped: dict[str, set[str]] = field(default_factory=dict)
    times: tuple[float, float] = (0.0, 0.0)


def _runs(store: Path) -> dict[str, list[Path]]:
    """The event files of each run, by its id."""
    root = store.resolve()
    folders: dict[Path, list[Path]] = {}
    for file in run_files(root, "."):
        if _EVENT_FILE in file.name:
            folders.setdefault(file.parent, []).append(file)
    for folder in list(folders):
        if _TRIAL.fullmatch(folder.name) and folder.parent in folders:
            folders[folder.parent] += folders.pop(folder)
    return {_identifier(root, folder): files for folder, files in folders.items()}


def _identifier(root: Path, folder: Path) -> str:
    name = folder.relative_to(root).as_posix()
    name = root.name if name == "." else name
    legible = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-60:].lstrip("-") or "run"
    return f"{legible}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:6]}"


def _fields(store: Path, run: str, files: list[Path], contents: _Contents) -> dict[str, Value]:
    first, last = contents.times
    name = files[0].parent.relative_to(store.resolve()).as_posix()
    return {
        "sys/id": run,
        "sys/name": store.resolve().name if name == "." else name,
        "sys/created": to_iso8601(round(first * 1000)),
        "sys/ended": to_iso8601(round(last * 1000)),
        "sys/status": "finished",
        **{f"{CONFIG}/{name}": value for name, value in contents.hparams.items()},
    }


def _read(files: list[Path]) -> _Contents:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    contents = _Contents()
    plugins: dict[str, str] = {}  # only a tag's first value names its plugin
    times: list[float] = []
    for file in files:
        for record in EventFileLoader(str(file)).Load():
            times += [record.wall_time]
            if record.WhichOneof("what") in ("graph_def", "meta_graph_def"):
                contents.unmapped.setdefault("graph", set()).add(str(file))
            for value in record.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                plugin = plugins.setdefault(value.tag, plugin)
                _add(contents, plugin, value, record.step, round(record.wall_time * 1000))
    contents.times = (min(times), max(times)) if times else (0.0, 0.0)
    return contents


def _add(contents: _Contents, plugin: str, value: Any, step: int, time: int) -> None:
    from tensorboard.util.tensor_util import make_ndarray

    match plugin:
        case "scalars":
            number = float(make_ndarray(value.tensor).reshape(-1)[0])
            contents.points.append((value.tag, step, time, number))
        case "text" if value.tag == FIELDS_TAG:
            raise StoreError("this program tracked it; name the store that has its tensorboard/")
        case "text":
            lines = [line.decode() for line in make_ndarray(value.tensor).reshape(-1)]
            contents.texts.setdefault(_without_suffix(value.tag), {})[step] = "\n".join(lines)
        case "images":
            _, _, *pictures = make_ndarray(value.tensor).reshape(-1)
            for number, content in enumerate(pictures):
                path = f"{IMAGES}/{value.tag}" + (f"/{number}" if len(pictures) > 1 else "")
                contents.images.append((path, step, time, content))
        case "hparams":
            if value.tag == _HPARAMS:
                contents.hparams |= _hparams(value)
        case _:
            kind = _KINDS.get(plugin, f"value of {plugin or 'an unknown kind'}")
            contents.unmapped.setdefault(kind, set()).add(value.tag)


def _without_suffix(tag: str) -> str:
    """The tag of a text; PyTorch adds `/text_summary` to it."""
    return tag.removesuffix("/text_summary")


def _hparams(value: Any) -> dict[str, Value]:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = value.metadata.plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info
    return {name: _hparam(entry) for name, entry in start.hparams.items()}


def _hparam(entry: Any) -> Value:
    """A number, a text or a truth value; TensorBoard has no integers, so 64.0 becomes 64."""
    match entry.WhichOneof("kind"):
        case "number_value":
            number = float(entry.number_value)
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        case "string_value":
            return str(entry.string_value)
        case "bool_value":
            return bool(entry.bool_value)
    return None
