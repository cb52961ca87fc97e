"""What is found out about a run after it has ended, written into its journal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tracking.backends.local import open_tracker, read_fields, read_run
from tracking.events import SYS, Event
from tracking.lock import locked
from tracking.tracker import as_status


def amend(folder: Path, events: Iterable[Event]) -> None:
    """Append events to a run's journal and leave its status as it is.

    Their steps are that of its last checkpoint or later, for a journal goes forward.
    Raises StoreError where another process writes the run.
    """
    with locked(folder, patience=0):
        status = as_status(read_fields(folder, alive=False).get(f"{SYS}/status"))
        journal = open_tracker(read_run(folder), folder.parent)
        for event in events:
            journal.write(event)
        journal.close(status)
