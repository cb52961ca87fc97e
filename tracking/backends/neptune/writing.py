"""Writes runs with Neptune's own client."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path

from tracking.backends.neptune.client import open_offline, open_online
from tracking.backends.neptune.layout import (
    DATA_FOLDER,
    LONG_FIELDS,
    NON_FINITE,
    TEXT_LENGTH,
    is_native,
    to_neptune,
)
from tracking.backends.neptune.server_state import note_picture, queue_folder
from tracking.errors import StoreError
from tracking.events import Event, Fields, File, Image, Metrics, Text, Value
from tracking.fields import to_iso8601, to_text
from tracking.png import to_png
from tracking.tracker import Held, Run, Status

STOP_SECONDS = 20.0
"""How long the client may take at the end to send its queue, in seconds."""


class NeptuneTracker:
    """Writes one run with Neptune's own client.

    If both NEPTUNE_API_TOKEN and NEPTUNE_PROJECT are set, the run is sent to Neptune's server. If
    it does not answer within seconds, a warning is given and the run is kept offline.
    Offline, everything is on disk when a call returns. Online, what is not sent when the run ends
    stays on disk for `neptune sync`, and closing raises StoreError.
    """

    def __init__(self, run: Run, store: Path) -> None:
        self._data = store / DATA_FOLDER
        self._files = self._data / "files" / run.id
        self._sent_pictures = self._data / "pictures" / f"{run.id}.jsonl"
        self._types: dict[str, type] = {}
        online = open_online(run, store, self._sent_pictures)
        self._offline = online is None
        self._run, self._held = online or open_offline(run, store)
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        self.write(Fields(identity))

    def held(self) -> Held:
        """What the store or the server held of the run when it was opened."""
        return self._held

    def write(self, event: Event) -> None:
        """Write one event."""
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
                    note_picture(self._sent_pictures, path, step)
                picture = Upload.from_content(to_png(pixels), extension="png")
                self._run[path].append(picture, step=step, timestamp=time / 1000)
            case Text(path, content):
                self._run[path].upload(Upload.from_content(content, extension="txt"))
            case File(path, source):
                self._run[path].upload(str(self._copy(path, source)))
        if self._offline:
            self._run.wait(disk_only=True)

    def close(self, status: Status) -> None:
        """End the run; raises StoreError if the server has not received all of it."""
        self._write_field("sys/status", status)
        self._run["sys/failed"] = status == "failed"
        self._run.stop(seconds=STOP_SECONDS)
        if not self._offline and queue_folder(self._run).exists():
            raise StoreError(
                "Neptune's server has not received all of the run; "
                f"the rest is in {self._data}, for the command `neptune sync`"
            )

    def _write_field(self, path: str, value: Value) -> None:
        from neptune.types import File as Upload

        kind = type(value) if is_native(value) else str
        if self._types.setdefault(path, kind) is not kind:
            self._run.pop(to_neptune(path))  # a field keeps the type of its first value
            self._types[path] = kind
        if is_native(value):
            self._run[to_neptune(path)] = value
        else:
            text = to_text(value)
            # Readers recognise a cut text by its length and read the full text from the file.
            if len(text) >= TEXT_LENGTH:
                full_text = Upload.from_content(text, extension="txt")
                self._run[f"{LONG_FIELDS}/{path}"].upload(full_text)
            self._run[to_neptune(path)] = text[:TEXT_LENGTH]
        if path == "sys/tags" and isinstance(value, list) and value:
            self._run["sys/tags"].add([str(tag) for tag in value])
        if path == "sys/group" and isinstance(value, str):
            self._run["sys/group_tags"].add([value])

    def _write_series(self, block: Metrics, path: str) -> None:
        points = zip(block.values[path], block.steps, block.times, strict=True)
        # In step order, so that after an interruption the two series together hold a prefix of the
        # metric.
        for finite, group in itertools.groupby(points, key=lambda point: math.isfinite(point[0])):
            values, steps, times = zip(*group, strict=True)
            self._run[path if finite else f"{NON_FINITE}/{path}"].extend(
                list(values if finite else map(str, values)),
                steps=list(steps),
                timestamps=[time / 1000 for time in times],
            )

    def _copy(self, path: str, source: Path) -> Path:
        """Copy a file, because the client only records its path and reads it when it sends it."""
        copy = self._files / f"{path}{source.suffix}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(source, copy))


def open_tracker(run: Run, store: Path) -> NeptuneTracker:
    """Open a run for writing: a new one, or an existing one to continue it."""
    return NeptuneTracker(run, store)
