"""One run to several stores: the journal at once, every remote from a thread of its own.

A remote can fail, stall or lag. It is reported once and never holds up the
training, and since the journal has everything first, whatever a remote missed
comes from there: at the start, after an interruption, and after its queue overflowed.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from tracking.events import TRACKERS, Event, Fields
from tracking.replay import Ledger
from tracking.tracker import Held, Status, Tracker

Report: TypeAlias = Callable[[str], None]

QUEUE_LENGTH = 256
PATIENCE_SECONDS = 30.0


class FanOut:
    """The tracker that the engine writes to.

    journal: written on the caller's thread, before any remote sees the event.
    remotes: for each backend a function that opens it; called on the remote's thread.
    history: reads back from the journal all that was written so far.
    report: is told about each tracker that fails, once each, in a sentence.
    patience: seconds without progress after which a remote counts as stalled.
    """

    def __init__(
        self,
        journal: Tracker,
        remotes: Mapping[str, Callable[[], Tracker]],
        history: Callable[[], Iterable[Event]],
        report: Report,
        *,
        queue_length: int = QUEUE_LENGTH,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._journal = journal
        self._journal_failed = False
        self._report = report
        if remotes:
            self._note(dict.fromkeys(remotes, "open"))
        self._remotes = [
            _Remote(name, open_tracker, history, report, queue_length, patience)
            for name, open_tracker in remotes.items()
        ]

    def held(self) -> Held:
        return self._journal.held()

    def write(self, event: Event) -> None:
        self._guard_journal(lambda: self._journal.write(event))
        for remote in self._remotes:
            remote.put(event)

    def close(self, status: Status) -> None:
        """Close every store; a remote may take as long as it makes progress."""
        for remote in self._remotes:
            remote.finish(status)
        if self._remotes:
            self._note({remote.name: remote.join() for remote in self._remotes})
        self._guard_journal(lambda: self._journal.close(status))

    def _note(self, states: Mapping[str, str]) -> None:
        """Say in the journal how far each remote got."""
        fields = Fields({f"{TRACKERS}/{name}": state for name, state in states.items()})
        self._guard_journal(lambda: self._journal.write(fields))

    def _guard_journal(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            if not self._journal_failed:
                self._journal_failed = True
                self._report(f"The local journal cannot be written: {_sentence(error)}")


class _Remote:
    """A backend, its thread, and the queue between that thread and the training."""

    def __init__(
        self,
        name: str,
        open_tracker: Callable[[], Tracker],
        history: Callable[[], Iterable[Event]],
        report: Report,
        queue_length: int,
        patience: float,
    ) -> None:
        self.name = name
        self._open = open_tracker
        self._history = history
        self._report = report
        self._patience = patience
        self._queue: queue.Queue[Event | None] = queue.Queue(queue_length)
        # The thread has something to fetch from the journal. It starts so: what is written
        # while the backend's SDK is imported, or was written before an interruption.
        self._behind = True
        self._problem: str | None = None
        self._problem_lock = threading.Lock()
        self._last_status: Status | None = None
        self._progress = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        if self._problem or self._behind:
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._behind = True
            if time.monotonic() - self._progress > self._patience:
                self._fail(f"it has not answered for {self._patience:.0f} s")

    def finish(self, status: Status) -> None:
        self._progress = time.monotonic()
        self._last_status = status
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._behind = True

    def join(self) -> str:
        """Wait while there is progress; return `complete` or what went wrong."""
        while self._thread.is_alive():
            self._thread.join(timeout=self._patience / 10)
            if time.monotonic() - self._progress > self._patience:
                self._fail(f"it has not answered for {self._patience:.0f} s")
                break
        return f"incomplete: {self._problem}" if self._problem else "complete"

    def _run(self) -> None:
        try:
            tracker = self._open()
            ledger = Ledger(tracker.held())
            self._follow(tracker, ledger)
            if self._last_status is not None:
                tracker.close(self._last_status)
        except Exception as error:
            self._fail(_sentence(error))

    def _follow(self, tracker: Tracker, ledger: Ledger) -> None:
        while True:
            if self._behind and self._queue.empty():
                # First the flag, then the reading: whatever was not queued while the flag
                # was up is in the journal by now.
                self._behind = False
                self._send(tracker, ledger.missing(self._history()))
                continue
            if self._last_status is not None and self._queue.empty():
                return
            event = self._queue.get()
            if event is not None:
                self._send(tracker, ledger.missing([event]))

    def _send(self, tracker: Tracker, events: Iterable[Event]) -> None:
        for event in events:
            if self._problem:
                return
            self._progress = time.monotonic()
            tracker.write(event)
            self._progress = time.monotonic()

    def _fail(self, problem: str) -> None:
        with self._problem_lock:
            if self._problem is not None:
                return
            self._problem = problem
        self._report(
            f"Tracking to {self.name} stopped: {problem}. "
            "The training goes on, and the local journal has everything."
        )


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
