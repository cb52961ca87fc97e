"""Runs from one store to another: what a remote missed, and runs that were kept elsewhere.

Both are the same: whatever the source has and the target lacks is written to the target.
So both can be interrupted and begun again, and done twice they send nothing the second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tracking.backends import load_backend
from tracking.backends.local import amend_fields, open_tracker, read_events, read_fields, read_run
from tracking.errors import StoreError
from tracking.events import TRACKERS, Event, Fields, File, Image, Metrics, Text, Value
from tracking.fields import from_iso8601
from tracking.lock import locked
from tracking.replay import Ledger
from tracking.tracker import Run, Status, Tracker, as_status

IMPORTED = "sys/imported_from"
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # it becomes the name of a folder


@dataclass(frozen=True)
class TransferCount:
    """What a target lacked: values of metrics, pictures, and texts or files."""

    values: int = 0
    images: int = 0
    files: int = 0

    def __bool__(self) -> bool:
        return bool(self.values or self.images or self.files)

    def __add__(self, other: TransferCount) -> TransferCount:
        return TransferCount(
            self.values + other.values, self.images + other.images, self.files + other.files
        )


def send_run(folder: Path, remote: str) -> TransferCount:
    """Make a remote hold what the journal in `folder` holds.

    Raises StoreError where the run is being written, or the remote fails: what has arrived
    stays, and the next try sends the rest.
    """
    with locked(folder, patience=0):
        fields = read_fields(folder, alive=False)
        status = as_status(fields.get("sys/status"))
        try:
            tracker = load_backend(remote).open_tracker(read_run(folder), folder.parent)
            events = read_events(folder, tracker.held())
            moved = _move(_with_status(events, status), tracker, status)
        except (Exception, SystemExit) as error:  # some SDKs leave with sys.exit
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise StoreError(
                f"The run {folder.name} could not be sent to {remote}: {reason}\n"
                "What has arrived stays there; the same command later sends the rest."
            ) from error
        amend_fields(folder, {f"{TRACKERS}/{remote}": "complete"})
    return moved


def import_run(
    source: str,
    place: Path | str,
    fields: Mapping[str, Value],
    store: Path,
    new_paths: Mapping[str, str] = {},
) -> TransferCount | None:
    """Bring a run that another store holds into the journal of this one.

    source: a backend that can be read. place: its store. fields: a row of its run table.
    new_paths: for paths of the source, or their beginnings, those that they have here.
    Returns None where the run was made here: the journal needs nobody to tell it.
    """
    identifier = str(fields["sys/id"])
    if not _IDENTIFIER.fullmatch(identifier):
        raise StoreError(f"{identifier!r} in {place} cannot be the id of a run here.")
    folder = store / identifier
    known = read_fields(folder)
    if known and IMPORTED not in known:
        return None
    created = from_iso8601(str(fields["sys/created"]))
    name = str(known.get("sys/name") or fields.get("sys/name") or identifier)
    status = as_status(fields.get("sys/status"))
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, patience=0):
        journal = open_tracker(Run(identifier, name, created), store)
        journal.write(Fields({IMPORTED: source}))
        events = _renamed(load_backend(source).load_events(place, identifier), new_paths)
        # Its last status comes last: an import that was cut short does not pass for whole.
        return _move(_with_status(events, "running"), journal, status)


def _move(events: Iterable[Event], tracker: Tracker, status: Status) -> TransferCount:
    moved = TransferCount()
    for event in Ledger(tracker.held()).missing(events):
        tracker.write(event)
        moved += _size(event)
    tracker.close(status)
    return moved


def _size(event: Event) -> TransferCount:
    match event:
        case Metrics(steps, _, values):
            return TransferCount(values=len(steps) * len(values))
        case Image():
            return TransferCount(images=1)
        case Text() | File():
            return TransferCount(files=1)
    return TransferCount()


def _with_status(events: Iterable[Event], status: Status) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Fields) and "sys/status" in event.values:
            yield Fields({**event.values, "sys/status": status})
        else:
            yield event


def _renamed(events: Iterable[Event], new_paths: Mapping[str, str]) -> Iterator[Event]:
    def new(path: str) -> str:
        for old, other in new_paths.items():
            if path == old or path.startswith(f"{old}/"):
                return other + path.removeprefix(old)
        return path

    for event in events:
        match event:
            case Fields(values):
                yield Fields({new(path): value for path, value in values.items()})
            case Metrics(values=series):
                yield replace(event, values={new(path): each for path, each in series.items()})
            case Image(path) | Text(path) | File(path):
                yield replace(event, path=new(path))
