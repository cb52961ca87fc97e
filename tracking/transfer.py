"""Moves runs between stores: sends a run to a remote, and imports runs from elsewhere.

Both write what the target still lacks. So they can be interrupted and repeated, and repeating a
complete transfer writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tracking.backends import load_backend, load_reader
from tracking.backends.foreign import UNMAPPED
from tracking.backends.local import amend_fields, open_tracker, read_events, read_fields, read_run
from tracking.backends.local_json import conform
from tracking.errors import StoreError
from tracking.events import IMPORTED, TRACKERS, Event, Fields, File, Image, Metrics, Text, Value
from tracking.fields import from_iso8601
from tracking.lock import locked
from tracking.redaction import make_redactor, redact_event
from tracking.renaming import check_new_paths, renamed
from tracking.replay import Ledger
from tracking.tracker import Run, Status, Tracker, as_status

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")  # it becomes a folder's name


@dataclass(frozen=True)
class TransferCount:
    """How much was written to the target.

    Attributes:
        values: Single values of metrics.
        images: Pictures.
        files: Texts and files.
    """

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
    """Send a remote what it lacks of the run whose journal is in `folder`.

    Raises StoreError if the run is being written, or if the remote fails; what was sent stays
    there, and the next call sends the rest.
    """
    with locked(folder):
        fields = read_fields(folder, alive=False)
        status = as_status(fields.get("sys/status"))
        try:
            tracker = load_backend(remote).open_tracker(read_run(folder), folder.parent)
            events = read_events(folder, tracker.held())
            count = _move(_with_status(events, status), tracker, status)
        except (Exception, SystemExit) as error:  # some SDKs call sys.exit
            raise StoreError(
                f"The run {folder.name} could not be sent to {remote}: {_reason(error)}\n"
                "What was sent stays there; run the same command again to send the rest."
            ) from error
        amend_fields(folder, {f"{TRACKERS}/{remote}": "complete"})
    return count


def import_run(
    source: str,
    location: Path | str,
    fields: Mapping[str, Value],
    store: Path,
    new_paths: Mapping[str, str] = {},
) -> TransferCount | None:
    """Import a run from another store into a journal of this one.

    Args:
        source: The name of its reader, for `tracking.backends.load_reader`.
        location: The store to import from, or for MLflow also an address.
        fields: The run's row in the table of runs there.
        store: The store to import into.
        new_paths: New names for paths of the source, or for their beginnings.

    Returns:
        What was written; None if the run was made in this store and is complete here.

    Raises:
        StoreError: The run's id cannot be the name of a folder, the run is being written, or the
            new paths would lose something.
    """
    identifier = str(fields["sys/id"])
    if not _IDENTIFIER.fullmatch(identifier):
        raise StoreError(
            f"{identifier!r} in {location} cannot be the id of a run here: use up to 100 letters, "
            "digits, hyphens and underscores."
        )
    folder = store / identifier
    existing = read_fields(folder)
    if existing and IMPORTED not in existing:
        return None
    try:
        created = from_iso8601(str(fields["sys/created"]))
    except (KeyError, ValueError) as error:
        raise StoreError(f"The run {identifier} in {location} has no creation time.") from error
    name = str(existing.get("sys/name") or fields.get("sys/name") or identifier)
    status = as_status(fields.get("sys/status"))
    if new_paths:
        counted = UNMAPPED.copy()
        check_new_paths(load_reader(source).load_events(location, identifier), new_paths)
        UNMAPPED.clear()
        UNMAPPED.update(counted)  # the reading below counts the entries that are left out
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        journal = open_tracker(Run(identifier, name, created), store)
        journal.write(Fields({IMPORTED: source.removeprefix("foreign.")}))
        redact = make_redactor()
        loaded = load_reader(source).load_events(location, identifier)
        conforming = (
            _conforming(redact_event(event, redact)) for event in renamed(loaded, new_paths)
        )
        events = (_with_own_labels(event, existing) for event in conforming)
        try:
            # The final status is written last: an interrupted import does not look complete.
            return _move(_with_status(events, "running"), journal, status)
        except Exception as error:  # files of other programs can be damaged in any way
            raise StoreError(
                f"The run {identifier} could not be imported: {_reason(error)}\n"
                "What was imported stays here; run the same command again to import the rest."
            ) from error


def _conforming(event: Event) -> Event:
    return Fields(conform(event.values)) if isinstance(event, Fields) else event


def _with_own_labels(event: Event, existing: Mapping[str, Value]) -> Event:
    """The event without what would undo a new name or tags that a user gave the run here."""
    if not isinstance(event, Fields):
        return event
    values = dict(event.values)
    if "sys/name" in existing:
        values.pop("sys/name", None)
    here, there = existing.get("sys/tags"), values.get("sys/tags")
    if isinstance(here, list) and isinstance(there, list):
        values["sys/tags"] = list(dict.fromkeys([*here, *there]))
    return Fields(values)


def _reason(error: BaseException) -> str:
    return make_redactor()(" ".join(str(error).split()))[:300] or type(error).__name__


def _move(events: Iterable[Event], tracker: Tracker, status: Status) -> TransferCount:
    count = TransferCount()
    for event in Ledger(tracker.held()).missing(events):
        tracker.write(event)
        count += _size(event)
    tracker.close(status)
    return count


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
