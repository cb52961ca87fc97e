"""Remote stores in memory, for tests of the fan-out: some fail, some stall, some lag."""

from __future__ import annotations

import random
import threading
import time

from tracking.events import Event, Fields, Image, Metrics, Text
from tracking.tracker import Held, Status


class Remote:
    """A store in memory: it keeps what it is sent, in order."""

    def __init__(self, held: Held | None = None) -> None:
        self.events: list[Event] = []
        self.status: Status | None = None
        self._held = held or Held()

    def held(self) -> Held:
        return self._held

    def write(self, event: Event) -> None:
        self.events.append(event)

    def close(self, status: Status) -> None:
        self.status = status

    def steps(self, path: str) -> list[int]:
        """The steps of one metric, in the order in which they came."""
        blocks = [event for event in self.events if isinstance(event, Metrics)]
        return [step for block in blocks if path in block.values for step in block.steps]

    def images(self) -> list[int]:
        return [event.step for event in self.events if isinstance(event, Image)]

    def texts(self) -> list[str]:
        return [event.path for event in self.events if isinstance(event, Text)]

    def fields(self) -> dict[str, object]:
        """The values that stand at the end."""
        values: dict[str, object] = {}
        for event in self.events:
            if isinstance(event, Fields):
                values |= event.values
        return values


class Failing(Remote):
    """Raises at every call of one method."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method
        self._fail("open")

    def write(self, event: Event) -> None:
        self._fail("write")

    def close(self, status: Status) -> None:
        self._fail("close")

    def _fail(self, method: str) -> None:
        if method == self._method:
            raise ConnectionError("the server\nis gone.")


class Stuck(Remote):
    """Never returns from one method, until `release` is set."""

    def __init__(self, method: str, release: threading.Event) -> None:
        super().__init__()
        self._method = method
        self._release = release
        self._wait_in("open")

    def write(self, event: Event) -> None:
        self._wait_in("write")
        super().write(event)

    def close(self, status: Status) -> None:
        self._wait_in("close")
        super().close(status)

    def _wait_in(self, method: str) -> None:
        if method == self._method:
            self._release.wait()


class Slow(Remote):
    """Takes up to `seconds` per event."""

    def __init__(self, seconds: float, seed: int = 0) -> None:
        super().__init__()
        self._seconds = seconds
        self._random = random.Random(seed)

    def write(self, event: Event) -> None:
        time.sleep(self._random.uniform(0, self._seconds))
        super().write(event)
