"""A fan-out over a real journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.small_training import RUN
from tracking.backends.local import Journal, open_tracker, read_events
from tracking.fanout import FanOut, RemoteLimits
from tracking.tracker import Tracker


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Releases stuck remotes; set at the end of the test, so that no thread stays behind."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One number: by how many seconds the fan-out's clock is ahead."""
    seconds = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds[0])
    monkeypatch.setattr("tracking.fanout.time", clock)
    return seconds


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_tracker(RUN, tmp_path)


@pytest.fixture
def fan_out(journal: Journal, warnings: list[str]) -> Callable[..., FanOut]:
    def build(
        remotes: dict[str, Callable[[], Tracker]],
        queue_length: int = 256,
        patience: float = 30,
        opening_patience: float | None = None,
        retry: float = 60,
    ) -> FanOut:
        return FanOut(
            journal,
            remotes,
            partial(read_events, journal.folder),
            warnings.append,
            RemoteLimits(
                queue_length=queue_length,
                patience=patience,
                opening_patience=patience if opening_patience is None else opening_patience,
                retry=retry,
            ),
        )

    return build
