"""Writes a run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from dcgan_tracker_trackio.layout import (
    FILES,
    IMAGE_TYPE,
    media_folder,
    project_of,
    to_config,
    to_key,
)
from dcgan_tracker_trackio.reading import read_fields, read_held
from tracking.atomic_files import atomic_write
from tracking.events import Event, Fields, File, Image, Metrics, Text, Value
from tracking.fields import to_iso8601
from tracking.png import to_png
from tracking.tracker import Held, Run, Status


class TrackioTracker:
    """Writes one run; the database has an event when `write` returns."""

    def __init__(self, run: Run, store: Path) -> None:
        self._project, self._run = project_of(store), run.id
        self._media = media_folder(self._project, run.id)
        self._held = read_held(store, run.id)
        self._fields = dict(read_fields(store).get(run.id, {}))
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        self.write(Fields(identity))

    def held(self) -> Held:
        """What the store had of this run when it was opened."""
        return self._held

    def write(self, event: Event) -> None:
        """Write one event."""
        match event:
            case Fields(values):
                self._write_fields(values)
            case Metrics(steps, times, values):
                keys = [to_key(path) for path in values]
                rows = zip(*values.values(), strict=True)
                self._log([dict(zip(keys, row, strict=True)) for row in rows], steps, times)
            case Image(path, step, time, pixels):
                file = self._media / str(step) / f"{uuid4()}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(to_png(pixels))
                place = file.relative_to(self._media.parents[1]).as_posix()
                picture = {"_type": IMAGE_TYPE, "file_path": place, "caption": None}
                self._log([{to_key(path): picture}], [step], [time])
            case Text(path, content):
                with atomic_write(self._file(path, ".txt")) as temporary:
                    temporary.write_bytes(content.encode())
            case File(path, source):
                with atomic_write(self._file(path, source.suffix)) as temporary:
                    shutil.copyfile(source, temporary)

    def close(self, status: Status) -> None:
        """Set the run's final status."""
        self.write(Fields({"sys/status": status}))

    def _write_fields(self, values: Mapping[str, Value]) -> None:
        from trackio.sqlite_storage import SQLiteStorage

        self._fields |= values
        # A configuration is written along with a row. This one is empty, and there once only,
        # since the database ignores a second one with the same id.
        SQLiteStorage.bulk_log(
            self._project,
            self._run,
            [{}],
            steps=[0],
            config={path: to_config(value) for path, value in self._fields.items()},
            log_ids=[f"{self._run}-fields"],
            run_id=self._run,
        )

    def _log(self, rows: list[dict[str, Any]], steps: Sequence[int], times: Sequence[int]) -> None:
        from trackio.sqlite_storage import SQLiteStorage

        moments = [datetime.fromtimestamp(time / 1000, UTC).isoformat() for time in times]
        SQLiteStorage.bulk_log(
            self._project, self._run, rows, list(steps), moments, run_id=self._run
        )

    def _file(self, path: str, suffix: str) -> Path:
        target = self._media / FILES / f"{path}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def open_tracker(run: Run, store: Path) -> TrackioTracker:
    """Open a run for writing: a new one, or an existing one to continue it."""
    return TrackioTracker(run, store)
