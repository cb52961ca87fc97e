"""Adds events to the journal of a run that has ended, such as an evaluation's results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tracking.backends.local import open_tracker, read_fields, read_run
from tracking.backends.local_order import order_steps
from tracking.events import SYS, Event, Metrics
from tracking.lock import locked
from tracking.redaction import make_redactor, redact_event
from tracking.tracker import as_status


def amend(folder: Path, events: Iterable[Event]) -> None:
    """Append events to a run's journal, and keep the run's status.

    Metrics may be of any step: the journal's lines are in the order of steps afterwards. Raises
    StoreError if another process is writing to the run.
    """
    with locked(folder):
        status = as_status(read_fields(folder, alive=False).get(f"{SYS}/status"))
        journal = open_tracker(read_run(folder), folder.parent)
        last_step = max(journal.held().last_step.values(), default=0)
        are_in_order = True
        redact = make_redactor()
        for event in events:
            journal.write(redact_event(event, redact))
            if isinstance(event, Metrics):
                are_in_order &= event.steps[0] >= last_step
        journal.close(status)
        if not are_in_order:
            order_steps(folder)
