"""The local journal: a human-readable folder per run, in plain files.

run.json        all fields of the run except its configuration
config.json     its configuration
metrics.jsonl   one line per step; appended, never rewritten during the run
last.json       the last value of each metric, once the run has ended
images/<name>/<step>.png
artifacts/      texts and files
checkpoints/    written by the engine
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.atomic_files import atomic_write, remove_stale_temporaries
from tracking.backends.local_json import read_field_file, read_json, write_json
from tracking.backends.local_metrics import (
    complete_lines,
    decode,
    encode,
    last_metrics,
    lines_until,
    metric_lines,
    metric_rows,
    read_tails,
    step_table,
    steps_of_last,
)
from tracking.errors import StoreError, leaving_out
from tracking.events import (
    ARTIFACTS,
    CONFIG,
    EVALUATION,
    TRACKERS,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
    Value,
)
from tracking.fields import from_iso8601, nest, to_iso8601
from tracking.lock import is_trained
from tracking.metric_keys import metric_key, metric_path
from tracking.png import read_image, to_png
from tracking.redaction import make_redactor, redact_fields
from tracking.replay import blocks, digests_of
from tracking.run_files import (
    check_no_link,
    check_no_links,
    image_files,
    is_behind_link,
    run_files,
    text_or_file,
)
from tracking.tracker import NOTHING, Held, Run, Status, as_status

if TYPE_CHECKING:
    import pandas as pd

RUN_FILE = "run.json"
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
LAST_FILE = "last.json"


class Journal:
    """The tracker that is always on.

    Metrics reach the operating system within the call, so killing the process loses none of
    them. If the disk is full, they are kept in memory and written later.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        check_no_links(folder)
        last = last_metrics(folder / METRICS_FILE)
        self._last = last.entries
        artifacts = {_artifact_path(folder, file): file for file in run_files(folder, "artifacts")}
        self._held = Held(
            last_step=last.step,
            last_time=last.time,
            images=frozenset(image_files(folder)),
            files=frozenset(artifacts),
            digests=digests_of(artifacts),
        )
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        self._fields = read_fields(folder) | identity
        metrics = folder / METRICS_FILE
        if metrics.exists():
            _drop_torn_line(metrics)
        (folder / LAST_FILE).unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)  # Windows'
        self._metrics = os.open(metrics, flags, 0o644)
        self._unwritten = bytearray()
        self._refused: deque[Image | Text | File] = deque()
        self._stale_files: set[str] = set()

    def held(self) -> Held:
        """What the journal held of the run when it was opened."""
        return self._held

    def write(self, event: Event) -> None:
        """Write one event, after those that a full disk has delayed."""
        match event:
            case Fields(values):
                self._write_fields(values)
            case Metrics(steps, times, values):
                newest = {metric_key(path): series[-1] for path, series in values.items()}
                self._last |= {"step": steps[-1], "time": times[-1], **newest}
                self._unwritten += metric_lines(steps, times, values)
                self._append_metrics()
            case Image() | Text() | File():
                self._refused.append(event)
        while self._refused:
            refused = self._refused.popleft()
            try:
                self._write_file(refused)
            except OSError:
                self._refused.appendleft(refused)  # there may be room later
                raise

    def close(self, status: Status) -> None:
        """Write what is left and then the status, even on a full disk.

        If anything is lost, the status is `interrupted`, so that the run can be resumed.
        """
        is_complete = False
        try:
            self._append_metrics()
            os.fsync(self._metrics)
            self.write(Fields({}))
            last = {path: encode(value) for path, value in sorted(self._last.items())}
            write_json(self.folder / LAST_FILE, last)
            is_complete = True
        finally:
            os.close(self._metrics)
            if status == "finished" and not is_complete:
                status = "interrupted"
            self._write_fields({"sys/status": status})

    def _write_file(self, event: Image | Text | File) -> None:
        match event:
            case Image(path, step, time, pixels):
                if step < 0:
                    raise StoreError(f"A journal takes no image at the step {step}.")
                target = self._inside(Path(path, f"{step:08d}.png"))
                with atomic_write(target) as temporary:
                    temporary.write_bytes(to_png(pixels))
                    os.utime(temporary, ns=(time * 1_000_000, time * 1_000_000))
            case Text(path, content):
                with atomic_write(self._artifact(path, ".txt")) as temporary:
                    temporary.write_bytes(content.encode())  # keep line ends as they are
            case File(path, source):
                target = self._artifact(path, source.suffix)
                if source.resolve() != target.resolve():
                    with atomic_write(target) as temporary:
                        shutil.copyfile(source, temporary)

    def _write_fields(self, values: Mapping[str, Value]) -> None:
        self._fields.update(values)
        self._stale_files.update(_field_file(path) for path in values)
        for name in sorted(self._stale_files):
            tree = nest({k: v for k, v in self._fields.items() if _field_file(k) == name})
            write_json(self.folder / name, tree[CONFIG] if name == CONFIG_FILE else tree)
            self._stale_files.remove(name)

    def _append_metrics(self) -> None:
        while self._unwritten:
            del self._unwritten[: os.write(self._metrics, self._unwritten)]

    def _artifact(self, path: str, suffix: str) -> Path:
        return self._inside(Path("artifacts", f"{path.removeprefix(ARTIFACTS + '/')}{suffix}"))

    def _inside(self, relative: Path) -> Path:
        """A file of the run, whose folder is created. Raises StoreError if it is outside."""
        if relative.is_absolute() or ".." in relative.parts:
            raise StoreError(f"{relative} would lie outside of the run's folder {self.folder}.")
        target = check_no_link(self.folder, relative)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def open_tracker(run: Run, store: Path) -> Journal:
    """Open a run for writing: a new one, or an existing one to continue it."""
    return Journal(store / run.id, run)


def run_folders(store: Path) -> list[Path]:
    """The folders of all runs in the store; links and unprintable names do not count."""
    return sorted(
        file.parent
        for file in store.glob(f"*/{RUN_FILE}")
        if file.parent.name.isprintable() and not is_behind_link(file.parent, Path(RUN_FILE))
    )


def readable_runs(store: Path) -> dict[Path, dict[str, Value]]:
    """Folder and fields of each run in the store; damaged runs are left out with a warning."""
    runs = {}
    for folder in run_folders(store):
        with leaving_out(f"The run {folder.name}"):
            runs[folder] = read_fields(folder)
    return runs


def load_runs(store: Path) -> pd.DataFrame:
    """One row per run, the oldest first, as `tracking.tables.run_table` describes it."""
    from tracking.tables import run_table

    return run_table({folder.name: fields for folder, fields in readable_runs(store).items()})


def load_steps(store: Path, run: str) -> pd.DataFrame:
    """One row per step of one run, as `tracking.tables.step_table` describes it."""
    return read_steps(store / run)


def load_tails(
    store: Path, run: str, paths: Sequence[str], fraction: float
) -> dict[str, pd.Series]:
    """The last values of metrics by path; see `tracking.backends.Backend.load_tails`.

    Only the end of the run's file is read.
    """
    return read_tails(store / run / METRICS_FILE, paths, fraction)


def load_last_values(store: Path, run: str) -> dict[str, float]:
    """The last value of each metric by path."""
    values = last_values(store / run)
    return {metric_path(key): values[key] for key in values if key not in ("step", "time")}


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The complete run as events; none if the store lacks it."""
    folder = store / run
    return read_events(folder) if (folder / RUN_FILE).exists() else iter(())


def read_fields(folder: Path, *, alive: bool | None = None) -> dict[str, Value]:
    """All fields of the run in `folder` by path; none if nothing is written yet.

    A run that claims to be running, but that no process writes, has the status `killed`.

    Args:
        folder: The run's folder.
        alive: Whether a process trains the run; None looks at the run's lock.

    Raises:
        StoreError: A file is damaged.
    """
    fields = read_field_file(folder / RUN_FILE)
    status = fields.get("sys/status")
    if status is not None:
        is_running = status == "running" and (is_trained(folder) if alive is None else alive)
        fields["sys/status"] = "running" if is_running else as_status(status)
    return fields | read_field_file(folder / CONFIG_FILE, CONFIG)


def amend_fields(folder: Path, values: Mapping[str, Value]) -> None:
    """Set fields of a run that has ended, such as its tags; the caller holds its lock.

    Secrets and the home directory are redacted, as during a run.
    """
    tree = read_field_file(folder / RUN_FILE) | redact_fields(values, make_redactor())
    write_json(folder / RUN_FILE, nest(tree))


def read_run(folder: Path) -> Run:
    """The id, name and time of creation of the run in `folder`."""
    fields = read_fields(folder)
    created = from_iso8601(str(fields["sys/created"]))
    return Run(id=folder.name, name=str(fields["sys/name"]), created=created)


def read_steps(folder: Path) -> pd.DataFrame:
    """One row per step of the run in `folder`, as `tracking.tables.step_table` describes it."""
    return step_table(folder.name, folder / METRICS_FILE)


def last_values(folder: Path) -> dict[str, float]:
    """The last value of each metric by `tracking.metric_keys.metric_key`, and `step` and `time`."""
    with contextlib.suppress(StoreError, ValueError):  # it is only a cache
        if ended := read_json(folder / LAST_FILE):
            return {key: decode(value) for key, value in ended.items()}
    return last_metrics(folder / METRICS_FILE).entries


def evaluation_steps(folder: Path) -> dict[str, int]:
    """The step that the last value of each metric of an evaluation is of, by its path."""
    evaluated = [path for path in last_values(folder) if path.startswith(f"{EVALUATION}/")]
    return steps_of_last(folder / METRICS_FILE, evaluated) if evaluated else {}


def last_step(folder: Path) -> int:
    """The last training step that the run in `folder` has metrics of; 0 if it has none."""
    return int(last_values(folder).get("step", 0))


def last_time(folder: Path) -> int:
    """The latest time of the run's metrics, milliseconds since the Unix epoch; 0 without any."""
    return max(last_metrics(folder / METRICS_FILE).time.values(), default=0)


def read_events(folder: Path, held: Held = NOTHING) -> Iterator[Event]:
    """The complete run in `folder` as events: fields, texts and files, metrics, images.

    The progress of each remote tracker is private to the journal and left out.

    Args:
        folder: The run's folder.
        held: What the receiver already has; those pictures are not read.
    """
    fields = read_fields(folder)
    yield Fields({path: fields[path] for path in fields if not path.startswith(TRACKERS)})
    for file in run_files(folder, "artifacts"):
        yield text_or_file(_artifact_path(folder, file), file)
    yield from blocks(metric_rows(folder / METRICS_FILE))
    for (path, step), file in image_files(folder).items():
        if (path, step) in held.images:
            continue
        yield from read_image(path, step, file.stat().st_mtime_ns // 1_000_000, file.read_bytes())


def rewind(folder: Path, step: int) -> None:
    """Delete everything after `step`, because a resumed run records it again.

    Files that a killed process left half-written are deleted as well. Raises StoreError, before
    anything is deleted, if the folder has a link.
    """
    check_no_links(folder)
    remove_stale_temporaries(folder)
    metrics = folder / METRICS_FILE
    kept = lines_until(metrics, step)
    with atomic_write(metrics) as temporary:
        temporary.write_bytes(kept)
    for (_, measured_at), file in image_files(folder).items():
        if measured_at > step:
            file.unlink()


def _field_file(path: str) -> str:
    return CONFIG_FILE if path.startswith(CONFIG + "/") else RUN_FILE


def _artifact_path(folder: Path, file: Path) -> str:
    relative = file.relative_to(folder / "artifacts").with_suffix("").as_posix()
    return f"{ARTIFACTS}/{relative}"


def _drop_torn_line(path: Path) -> None:
    os.truncate(path, len(complete_lines(path)))
