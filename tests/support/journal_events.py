"""Events for tests of the journal, and whether a journal holds exactly these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pandas.testing import assert_frame_equal

from tracking.backends.local import Journal, read_events, read_steps
from tracking.events import Event, Metrics
from tracking.fields import to_iso8601
from tracking.tables import Point, step_table
from tracking.testing.sample_run import CREATED, RUN

IDENTITY = {"sys/id": RUN.id, "sys/name": RUN.name, "sys/created": to_iso8601(CREATED)}
GLOSS = "training/batch/Gloss"
DLOSS = "training/batch/Dloss"
EPOCH_GLOSS = "training/epoch/Gloss"


def block(first: int, last: int) -> Metrics:
    """Two series of one block, `last` included."""
    steps = range(first, last + 1)
    values = {GLOSS: [math.sin(step) for step in steps], DLOSS: [1 / step for step in steps]}
    return Metrics(list(steps), [CREATED + 10 * step for step in steps], values)


def epoch_means(step: int) -> Metrics:
    """At the step of the epoch's last batch, a moment later."""
    return Metrics([step], [CREATED + 10 * step + 5], {EPOCH_GLOSS: [step / 3]})


def write_all(journal: Journal, events: Sequence[Event]) -> None:
    for event in events:
        journal.write(event)


def points(events: Sequence[Event]) -> list[Point]:
    """All single values of metrics, series by series, each in the order of the events."""
    single = [
        (path, step, time, float(value))
        for event in events
        if isinstance(event, Metrics)
        for path, values in event.values.items()
        for step, time, value in zip(event.steps, event.times, values, strict=True)
    ]
    return sorted(single, key=lambda point: point[0])


def assert_holds(folder: Path, events: Sequence[Event]) -> None:
    """The metrics of the run in `folder` are those of `events`: each once, in order, no others."""
    assert repr(points(list(read_events(folder)))) == repr(points(events))  # NaN equals NaN
    assert_frame_equal(read_steps(folder), step_table(folder.name, points(events)))
