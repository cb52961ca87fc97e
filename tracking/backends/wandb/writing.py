"""Writes runs with W&B's own client."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracking.atomic_files import atomic_write
from tracking.backends.wandb.client import abandon_run, close_run, open_run, service_processes
from tracking.backends.wandb.layout import STEP, TIME, to_config
from tracking.backends.wandb.log_file import START, read_records
from tracking.backends.wandb.reading import read_held
from tracking.errors import StoreError
from tracking.events import Event, Fields, File, Image, Metrics, Text, Value
from tracking.fields import to_iso8601
from tracking.png import to_png
from tracking.tracker import Held, Run, Status

ANSWER_SECONDS = 20.0
"""How long the service may take to write an event, in seconds."""

_PAUSE_SECONDS = 0.002
_ALIVE_SECONDS = 0.1
_LONGEST_TAG = 64


class WandbTracker:
    """Writes one run with W&B's own client; when `write` returns, the log has the event."""

    def __init__(self, run: Run, store: Path) -> None:
        self._held, self._row = read_held(
            store, run.id
        )  # W&B drops rows with an index that it has seen
        self._client_run = open_run(run, store)
        self._files = Path(self._client_run.dir)
        self._log = _Log(self._files.parent / f"run-{run.id}.wandb")
        with self._answered():
            self._client_run.define_metric(STEP)
            self._client_run.define_metric("*", step_metric=STEP)
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        self.write(Fields(identity))

    def held(self) -> Held:
        """What the store held of the run when it was opened."""
        return self._held

    def write(self, event: Event) -> None:
        """Write one event; raises StoreError if the service fails to."""
        with self._answered():
            match event:
                case Fields(values):
                    self._write_fields(values)
                case Metrics(steps, times, values):
                    rows = zip(*values.values(), strict=True)
                    for step, moment, row in zip(steps, times, rows, strict=True):
                        numbers = map(float, row)
                        self._write_row(step, moment, dict(zip(values, numbers, strict=True)))
                case Image(path, step, moment, pixels):
                    import PIL.Image
                    import wandb

                    with PIL.Image.open(io.BytesIO(to_png(pixels))) as picture:
                        self._write_row(step, moment, {path: wandb.Image(picture)})
                case Text(path, content):
                    with self._saved(f"{path}.txt") as temporary:
                        temporary.write_bytes(content.encode())
                case File(path, source):
                    with self._saved(f"{path}{source.suffix}") as temporary:
                        shutil.copyfile(source, temporary)

    def close(self, status: Status) -> None:
        """Write the status and end the run."""
        self.write(Fields({"sys/status": status}))
        try:
            close_run(self._client_run, 0 if status == "finished" else 1)
        except BaseException:
            abandon_run(self._client_run)
            raise
        shutil.rmtree(self._files.parent / "logs", ignore_errors=True)  # debug logs of the client

    def _write_fields(self, values: Mapping[str, Value]) -> None:
        config = {path: to_config(value) for path, value in values.items()}
        self._client_run.config.update(config, allow_val_change=True)
        self._log.expected_configs += 1
        if isinstance(name := values.get("sys/name"), str):
            self._client_run.name = name
        if isinstance(tags := values.get("sys/tags"), list):
            self._client_run.tags = tuple(str(tag)[:_LONGEST_TAG] for tag in tags if tag)

    def _write_row(self, step: int, moment: int, values: Mapping[str, Any]) -> None:
        row = {**values, STEP: step, TIME: moment / 1000}
        self._client_run.log(row, step=self._row, commit=True)
        self._row += 1
        self._log.expected_rows += 1

    @contextmanager
    def _saved(self, name: str) -> Iterator[Path]:
        """Yield the path at which to write a file; then add it to the run's files."""
        target = self._files / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as temporary:
            yield temporary
        self._client_run.save(target, base_path=self._files, policy="end", glob=False)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Return only once the log has what was written; abandon the run after any failure."""
        try:
            yield
            self._log.wait()
        except BaseException:
            abandon_run(self._client_run)
            raise


class _Log:
    """The log that the service writes, and how many records it should have by now."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._end = START
        self._configs = self._rows = 0
        self.expected_configs = self.expected_rows = 0

    def wait(self) -> None:
        """Wait until the log has everything; raises StoreError if it takes too long."""
        last_progress = time.monotonic()
        while self._configs < self.expected_configs or self._rows < self.expected_rows:
            before = self._end
            records = read_records(self._file, self._end) if self._file.exists() else ()
            for record, end in records:
                self._end = end
                self._rows += record.WhichOneof("record_type") == "history"
                self._configs += any(not item.key.startswith("_") for item in record.config.update)
            if self._end > before:
                last_progress = time.monotonic()
                continue
            waited = time.monotonic() - last_progress
            if waited > ANSWER_SECONDS:
                raise StoreError(f"The service of W&B has not written for {ANSWER_SECONDS:.0f} s")
            if waited > _ALIVE_SECONDS and not service_processes():
                raise StoreError("The service of W&B has ended")
            time.sleep(_PAUSE_SECONDS if waited < _ALIVE_SECONDS else _ALIVE_SECONDS)


def open_tracker(run: Run, store: Path) -> WandbTracker:
    """Open a run for writing: a new one, or an existing one to continue it."""
    return WandbTracker(run, store)
