"""One run to several stores: the journal at once, every remote from a thread of its own.

A remote can fail, stall or lag. It is reported once and never holds up the
training, and since the journal has everything first, whatever a remote missed
comes from there: at the start, after an interruption, after its queue overflowed, and
after it failed, when it is tried again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tracking.events import TRACKERS, Event, Fields, Metrics
from tracking.redaction import make_redactor, redact_event
from tracking.replay import Ledger
from tracking.tracker import Held, Status, Tracker

Warn: TypeAlias = Callable[[str], None]

QUEUE_LENGTH = 256
PATIENCE_SECONDS = 30.0
GATHERING = 1 / 6  # of the patience: how long a remote's thread waits for more metrics
RETRY_SECONDS = 60.0
LOWEST_PRIORITY = 19


class FanOut:
    """The tracker that the engine writes to; what it passes on names no secret and no home.

    journal: written on the caller's thread, before any remote sees the event.
    remotes: for each backend a function that opens it; called on the remote's thread.
    history: reads back from the journal all that was written so far.
    report: is told about each tracker that fails, once each, in a sentence.
    patience: seconds without progress after which a remote counts as stalled.
    retry: seconds after which a remote that failed is opened again; it is also tried once
        more at the end.
    """

    def __init__(
        self,
        journal: Tracker,
        remotes: Mapping[str, Callable[[], Tracker]],
        history: Callable[[], Iterable[Event]],
        warn: Warn,
        *,
        queue_length: int = QUEUE_LENGTH,
        patience: float = PATIENCE_SECONDS,
        retry: float = RETRY_SECONDS,
    ) -> None:
        self._journal = journal
        self._journal_failed = False
        self._report = warn
        self._clean = make_redactor()
        if remotes:
            self._note(dict.fromkeys(remotes, "open"))
        self._remotes = [
            _Remote(name, open_tracker, history, warn, queue_length, patience, retry)
            for name, open_tracker in remotes.items()
        ]

    def held(self) -> Held:
        return self._journal.held()

    def write(self, event: Event) -> None:
        event = redact_event(event, self._clean)
        in_journal = self._guard_journal(lambda: self._journal.write(event))
        for remote in self._remotes:
            remote.put(event, in_journal=in_journal)

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

    def _guard_journal(self, action: Callable[[], None]) -> bool:
        """Return whether the journal did it."""
        try:
            action()
        except Exception as error:
            if not self._journal_failed:
                self._journal_failed = True
                self._report(f"The local journal cannot be written: {_sentence(error)}")
            return False
        return True


@dataclass(frozen=True)
class _CatchUp:
    """Fetch from the journal what was not queued."""


@dataclass(frozen=True)
class _End:
    """Close the store; nothing comes after it."""

    status: Status


class _Remote:
    """A backend, its thread, and the queue between that thread and the training."""

    def __init__(
        self,
        name: str,
        open_tracker: Callable[[], Tracker],
        history: Callable[[], Iterable[Event]],
        report: Warn,
        queue_length: int,
        patience: float,
        retry: float,
    ) -> None:
        self.name = name
        self._open = open_tracker
        self._history = history
        self._report = report
        self._queue_length = queue_length
        self._patience = patience
        self._retry = retry
        # It starts with the journal: for what was written before an interruption, and for
        # what is written while the backend's SDK is imported.
        self._queue: deque[Event | _CatchUp | _End] = deque([_CatchUp()])
        self._queue_changed = threading.Condition()
        self._problem: str | None = None
        self._reported = False
        self._last_status: Status | None = None
        self._abandoned = False
        self._problem_lock = threading.Lock()
        self._progress = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def put(self, event: Event, *, in_journal: bool) -> None:
        """Queue an event, or leave it to a later look into the journal if it is there."""
        if self._problem:
            return
        with self._queue_changed:
            if not self._queue:
                self._progress = time.monotonic()  # until now there was nothing to do
            if not in_journal:
                self._queue.append(event)
            elif self._queue and isinstance(self._queue[-1], _CatchUp):
                pass  # the thread has yet to look
            elif len(self._queue) < self._queue_length:
                self._queue.append(event)
            else:
                self._queue.append(_CatchUp())
            overflowing = len(self._queue) > self._queue_length
            self._queue_changed.notify()
        if overflowing and self._has_stalled():
            self._give_up()

    def finish(self, status: Status) -> None:
        with self._queue_changed:
            self._progress = time.monotonic()
            self._last_status = status
            self._queue.append(_End(status))
            self._queue_changed.notify()

    def join(self) -> str:
        """Wait while there is progress; return `complete` or what went wrong."""
        while self._thread.is_alive() and not self._has_stalled():
            self._thread.join(timeout=self._patience / 10)
        if self._thread.is_alive():
            self._abandoned = True
            self._give_up()
        return f"incomplete: {self._problem}" if self._problem else "complete"

    def _run(self) -> None:
        _yield_to_the_training()
        while not self._abandoned:
            at_the_end = self._last_status is not None
            try:
                self._serve()
            except (Exception, SystemExit) as error:  # some SDKs leave with sys.exit
                self._fail(_sentence(error))
            else:
                return
            if at_the_end:
                return
            self._wait_to_retry()

    def _serve(self) -> None:
        """Write what the store lacks, and then whatever comes, to the end."""
        tracker = self._open()
        ledger = Ledger(tracker.held())
        while not isinstance(task := self._next_task(), _End):
            events = self._history() if isinstance(task, _CatchUp) else task
            self._send(tracker, ledger.missing(events))
        tracker.close(task.status)

    def _wait_to_retry(self) -> None:
        """Begin again with the journal, after a pause or at the end."""
        with self._queue_changed:
            self._queue_changed.wait_for(lambda: self._last_status is not None, self._retry)
            end = [_End(self._last_status)] if self._last_status is not None else []
            self._queue = deque([_CatchUp(), *end])
            self._progress = time.monotonic()
            if not self._abandoned:
                with self._problem_lock:
                    self._problem = None

    def _next_task(self) -> Sequence[Event] | _CatchUp | _End:
        # A look into the journal is off the queue before it begins, so that an event which
        # comes too late to be seen by it is queued.
        with self._queue_changed:
            self._queue_changed.wait_for(lambda: self._queue)
            if isinstance(self._queue[0], Metrics):
                # A store takes one large block for much less than many small ones.
                self._queue_changed.wait_for(self._has_gathered, self._patience * GATHERING)
                self._progress = time.monotonic()
                return self._pop_metrics()
            self._progress = time.monotonic()
            task = self._queue.popleft()
        return task if isinstance(task, _CatchUp | _End) else [task]

    def _has_gathered(self) -> bool:
        return len(self._queue) >= self._queue_length or isinstance(self._queue[-1], _End)

    def _pop_metrics(self) -> list[Metrics]:
        """Take the metrics off the queue up to the next mark; other events keep their order."""
        marks = (i for i, task in enumerate(self._queue) if isinstance(task, _CatchUp | _End))
        tasks = list(self._queue)
        end = next(marks, len(tasks))
        blocks = [task for task in tasks[:end] if isinstance(task, Metrics)]
        others = [task for task in tasks[:end] if not isinstance(task, Metrics)]
        self._queue = deque(others + tasks[end:])
        return _merged(blocks)

    def _send(self, tracker: Tracker, events: Iterable[Event]) -> None:
        for event in events:
            if self._problem:
                raise TimeoutError  # it was given up, and what was queued since is not here
            self._progress = time.monotonic()
            tracker.write(event)
            self._progress = time.monotonic()

    def _has_stalled(self) -> bool:
        return time.monotonic() - self._progress > self._patience

    def _give_up(self) -> None:
        self._fail(f"it has not answered for {self._patience:.0f} s")

    def _fail(self, problem: str) -> None:
        with self._problem_lock:
            if self._problem is not None:
                return
            self._problem = problem
            if self._reported:
                return
            self._reported = True
        self._report(
            f"Tracking to {self.name} stopped: {problem}. "
            "The training goes on, and the local journal has everything."
        )


def _yield_to_the_training() -> None:
    """Give this thread only what the training's threads leave of the processor."""
    with contextlib.suppress(AttributeError, OSError):  # Linux alone has priorities of threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)


def _merged(blocks: Sequence[Metrics]) -> list[Metrics]:
    """Blocks of the same metrics as one."""
    alike: dict[tuple[str, ...], list[Metrics]] = {}
    for block in blocks:
        alike.setdefault(tuple(block.values), []).append(block)
    return [
        Metrics(
            [step for block in group for step in block.steps],
            [time for block in group for time in block.times],
            {path: [value for block in group for value in block.values[path]] for path in paths},
        )
        for paths, group in alike.items()
    ]


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
