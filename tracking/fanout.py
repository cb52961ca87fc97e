"""Writes one run to several stores: the journal at once, each remote from its own thread.

A remote can fail, stall or lag. It never delays the training, and a failure is reported once.
The journal gets every event first. A remote reads from it what it missed: at the start, after an
interruption, after its queue overflowed, and when it is retried after a failure.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tracking.errors import UserError
from tracking.events import TRACKERS, Event, Fields, Metrics
from tracking.redaction import make_redactor, redact_event
from tracking.replay import Ledger
from tracking.tracker import Held, Status, Tracker

Warn: TypeAlias = Callable[[str], None]

GATHERING = 1 / 6  # fraction of the patience that a remote's thread waits for more metrics
LOWEST_PRIORITY = 19


@dataclass(frozen=True)
class RemoteLimits:
    """How far a remote may lag behind the training.

    Attributes:
        queue_length: How many events may wait for a remote before it reads the journal.
        patience: Seconds without progress after which a remote counts as stalled.
        opening_patience: The same, while a remote is being opened: MLflow's import and its tables
            take over 30 s on a busy machine.
        retry: Seconds after which a remote that failed is opened again; it is also tried once
            more at the end.
    """

    queue_length: int = 256
    patience: float = 30.0
    opening_patience: float = 300.0
    retry: float = 60.0


DEFAULT_LIMITS = RemoteLimits()


class FanOut:
    """The tracker that the engine writes to; secrets and the home directory are redacted.

    Its methods do not raise, and only `close` waits for a remote.
    """

    def __init__(
        self,
        journal: Tracker,
        remotes: Mapping[str, Callable[[], Tracker]],
        history: Callable[[], Iterable[Event]],
        warn: Warn,
        limits: RemoteLimits = DEFAULT_LIMITS,
    ) -> None:
        """Start one thread per remote.

        Args:
            journal: Written on the caller's thread, before any remote sees the event.
            remotes: For each backend a function that opens it; called on the remote's thread.
            history: Reads back everything in the journal.
            warn: Called with a sentence when a tracker fails, once per tracker.
            limits: How far each remote may lag behind.
        """
        self._journal = journal
        self._journal_problem: str | None = None
        self._lost: str | None = None
        self._redact = make_redactor()
        self._warn: Warn = lambda message: warn(self._redact(message))
        if remotes:
            self._note(dict.fromkeys(remotes, "open"))
        self._remotes = [
            _Remote(name, open_tracker, history, self._warn, limits)
            for name, open_tracker in remotes.items()
        ]

    def held(self) -> Held:
        """What the journal had of the run when it was opened."""
        return self._journal.held()

    def write(self, event: Event) -> None:
        """Write one event to the journal, and queue it for every remote."""
        event = redact_event(event, self._redact)
        in_journal = self._guard_journal(lambda: self._journal.write(event))
        for remote in self._remotes:
            remote.put(event, in_journal=in_journal)

    def close(self, status: Status) -> None:
        """Close every store; wait for each remote as long as it makes progress."""
        for remote in self._remotes:
            remote.finish(status)
        if self._remotes:
            self._note({remote.name: remote.join() for remote in self._remotes})
        if not self._guard_journal(lambda: self._journal.close(status)):
            self._lost = self._journal_problem

    @property
    def lost(self) -> str | None:
        """Why the journal is incomplete after `close`; None if it is complete."""
        return self._lost

    def _note(self, states: Mapping[str, str]) -> None:
        """Write to the journal how far each remote got."""
        fields = Fields({f"{TRACKERS}/{name}": state for name, state in states.items()})
        self._guard_journal(lambda: self._journal.write(redact_event(fields, self._redact)))

    def _guard_journal(self, action: Callable[[], None]) -> bool:
        """Return whether the action on the journal succeeded; warn at its first failure."""
        try:
            action()
        except Exception as error:
            is_first = self._journal_problem is None
            self._journal_problem = self._redact(_sentence(error))
            if is_first:
                self._warn(f"The local journal cannot be written: {self._journal_problem}")
            return False
        return True


@dataclass(frozen=True)
class _CatchUp:
    """A task: read the events from the journal that were not queued."""


@dataclass(frozen=True)
class _End:
    """A task: close the store; nothing comes after it.

    Attributes:
        status: The status with which the run ends.
    """

    status: Status


class _Remote:
    """A backend, its thread, and the queue between that thread and the training."""

    def __init__(
        self,
        name: str,
        open_tracker: Callable[[], Tracker],
        history: Callable[[], Iterable[Event]],
        warn: Warn,
        limits: RemoteLimits,
    ) -> None:
        self.name = name
        self._open = open_tracker
        self._history = history
        self._warn = warn
        self._limits = limits
        self._is_opening = True
        # Start with the journal, which has the events from before an interruption, and those that
        # are written while the backend's SDK is imported.
        self._queue: deque[Event | _CatchUp | _End] = deque([_CatchUp()])
        self._queue_changed = threading.Condition()
        self._problem: str | None = None
        self._has_warned = False
        self._last_status: Status | None = None
        self._abandoned = False
        self._problem_lock = threading.Lock()
        self._progress = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def put(self, event: Event, *, in_journal: bool) -> None:
        """Queue an event, or leave it to a later reading of the journal if that has it."""
        if self._problem:
            return
        with self._queue_changed:
            if not self._queue:
                self._progress = time.monotonic()  # until now there was nothing to do
            if not in_journal:
                self._queue.append(event)
            elif self._queue and isinstance(self._queue[-1], _CatchUp):
                pass  # the thread has yet to read the journal
            elif len(self._queue) < self._limits.queue_length:
                self._queue.append(event)
            else:
                self._queue.append(_CatchUp())
            overflowing = len(self._queue) > self._limits.queue_length
            self._queue_changed.notify()
        if overflowing and self._has_stalled():
            self._give_up()

    def finish(self, status: Status) -> None:
        """Queue the end of the run."""
        with self._queue_changed:
            self._progress = time.monotonic()
            self._last_status = status
            self._queue.append(_End(status))
            self._queue_changed.notify()
        _set_priority(self._thread.native_id, 0)  # the training no longer needs the processor

    def join(self) -> str:
        """Wait as long as there is progress; return `complete` or what went wrong."""
        while self._thread.is_alive() and not self._has_stalled():
            pause, began = self._patience / 10, time.monotonic()
            self._thread.join(timeout=pause)
            if time.monotonic() - began > 2 * pause:  # this process was stopped, as by Ctrl-Z
                self._progress = time.monotonic()
        if self._thread.is_alive():
            self._abandoned = True
            self._give_up()
        return f"incomplete: {self._problem}" if self._problem else "complete"

    def _run(self) -> None:
        _set_priority(threading.get_native_id(), LOWEST_PRIORITY)
        while not self._abandoned:
            is_last_try = self._last_status is not None
            try:
                self._serve()
            except BaseException as error:  # some SDKs call sys.exit
                self._fail(_sentence(error))
            else:
                return
            if is_last_try:
                return
            self._wait_to_retry()

    def _serve(self) -> None:
        """Write what the store lacks, then every queued event, until the end."""
        self._is_opening = True
        tracker = self._open()
        self._progress = time.monotonic()
        self._is_opening = False
        ledger = Ledger(tracker.held())
        while not isinstance(task := self._next_task(), _End):
            events = self._history() if isinstance(task, _CatchUp) else task
            self._send(tracker, ledger.missing(events))
        tracker.close(task.status)

    def _wait_to_retry(self) -> None:
        """Start again with the journal, after a pause or at the end."""
        with self._queue_changed:
            self._queue_changed.wait_for(lambda: self._last_status is not None, self._limits.retry)
            end = [_End(self._last_status)] if self._last_status is not None else []
            self._queue = deque([_CatchUp(), *end])
            self._progress = time.monotonic()
            if not self._abandoned:
                with self._problem_lock:
                    self._problem = None

    def _next_task(self) -> Sequence[Event] | _CatchUp | _End:
        # A `_CatchUp` is taken off the queue before the journal is read, so that events that are
        # too late for that reading are queued.
        with self._queue_changed:
            self._queue_changed.wait_for(lambda: self._queue)
            if isinstance(self._queue[0], Metrics):
                # One large block costs a store much less than many small ones.
                self._queue_changed.wait_for(self._has_gathered, self._patience * GATHERING)
                self._progress = time.monotonic()
                return self._pop_metrics()
            self._progress = time.monotonic()
            task = self._queue.popleft()
        return task if isinstance(task, _CatchUp | _End) else [task]

    def _has_gathered(self) -> bool:
        return len(self._queue) >= self._limits.queue_length or isinstance(self._queue[-1], _End)

    def _pop_metrics(self) -> list[Metrics]:
        """Take the metrics before the next `_CatchUp` or `_End` off the queue."""
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
                raise TimeoutError  # this remote was given up, so later events were not queued
            self._progress = time.monotonic()
            tracker.write(event)
            self._progress = time.monotonic()

    @property
    def _patience(self) -> float:
        return self._limits.opening_patience if self._is_opening else self._limits.patience

    def _has_stalled(self) -> bool:
        return time.monotonic() - self._progress > self._patience

    def _give_up(self) -> None:
        self._fail(f"it has not answered for {self._patience:.0f} s")

    def _fail(self, problem: str) -> None:
        with self._problem_lock:
            if self._problem is not None:
                return
            self._problem = problem
            if self._has_warned:
                return
            self._has_warned = True
        self._warn(
            f"Tracking to {self.name} stopped: {problem}. "
            "Training continues, and the local journal has everything."
        )


def _set_priority(thread: int | None, priority: int) -> None:
    """Set a thread's priority where that is possible: on Linux, and upwards only as root."""
    if not sys.platform.startswith("linux"):
        return  # elsewhere a thread's id may be that of another process
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread or 0, priority)


def _merged(blocks: Sequence[Metrics]) -> list[Metrics]:
    """Blocks that have the same metrics, merged into one.

    Each metric keeps the order of its values, for a store takes no step before its last one.
    """
    merged: list[Metrics] = []
    groups: dict[tuple[str, ...], list[Metrics]] = {}
    for block in blocks:
        paths = tuple(block.values)
        if paths not in groups and any(not block.values.keys().isdisjoint(each) for each in groups):
            merged += _joined(groups)
            groups = {}
        groups.setdefault(paths, []).append(block)
    return merged + _joined(groups)


def _joined(groups: Mapping[tuple[str, ...], Sequence[Metrics]]) -> list[Metrics]:
    return [
        Metrics(
            [step for block in group for step in block.steps],
            [time for block in group for time in block.times],
            {path: [value for block in group for value in block.values[path]] for path in paths},
        )
        for paths, group in groups.items()
    ]


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300].rstrip(".")
    if isinstance(error, UserError):
        return text  # a sentence already
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
