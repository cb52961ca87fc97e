"""Adds events to the journal of a run that has ended, such as an evaluation's results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tracking.backends.local import open_tracker, read_fields, read_run
from tracking.events import SYS, Event
from tracking.lock import locked
from tracking.redaction import make_redactor, redact_event
from tracking.tracker import as_status


def amend(folder: Path, events: Iterable[Event]) -> None:
    """Append events to a run's journal, and keep the run's status.

    The events' steps must not be before the run's last checkpoint, because steps in a journal
    only increase. Raises StoreError if another process is writing to the run.
    """
    with locked(folder):
        status = as_status(read_fields(folder, alive=False).get(f"{SYS}/status"))
        journal = open_tracker(read_run(folder), folder.parent)
        redact = make_redactor()
        for event in events:
            journal.write(redact_event(event, redact))
        journal.close(status)
