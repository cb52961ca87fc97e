"""Times of a run whose clock was set back between two sessions, or that goes on elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tracking.backends.local import last_time
from tracking.clock import now_ms
from tracking.events import Event, Image, Metrics


def clock_lag(folder: Path) -> int:
    """How far the clock is behind a run's journal that is not rewound yet, in milliseconds."""
    return max(0, last_time(folder) + 1 - now_ms())


def made_later(event: Event, lag: int) -> Event:
    """The event with its times later by `lag`.

    Stores tell by the time whether a step was measured again, and would keep its old values.
    """
    match event:
        case Metrics() if lag:
            return dataclasses.replace(event, times=[time + lag for time in event.times])
        case Image() if lag:
            return dataclasses.replace(event, time=event.time + lag)
    return event
