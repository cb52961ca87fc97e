"""What a store still lacks of a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from tracking.events import Event, File, Image, Metrics, Text
from tracking.tracker import Held


class Ledger:
    """Keeps account of what one store holds, and lets only the rest through."""

    def __init__(self, held: Held) -> None:
        self._last_step = dict(held.last_step)
        self._images = set(held.images)
        self._files = set(held.files)

    def missing(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield what the store lacks of `events`.

        An event counts as held once the next one is asked for, not before: one whose
        writing raised is still missing.
        """
        for event in events:
            for part in self._lacking(event):
                yield part
                self._enter(part)

    def _lacking(self, event: Event) -> Iterator[Event]:
        match event:
            case Metrics():
                yield from self._later_steps(event)
            case Image(path, step):
                if (path, step) not in self._images:
                    yield event
            case Text(path) | File(path):
                if path not in self._files:
                    yield event
            case _:
                yield event

    def _later_steps(self, block: Metrics) -> Iterator[Metrics]:
        """The steps of a block after the last that the store has, for each path."""

        def first(path: str) -> int:
            last = self._last_step.get(path, -1)
            return sum(step <= last for step in block.steps)

        for start, paths in itertools.groupby(sorted(block.values, key=first), key=first):
            if start < len(block.steps):
                yield Metrics(
                    block.steps[start:],
                    block.times[start:],
                    {path: block.values[path][start:] for path in paths},
                )

    def _enter(self, event: Event) -> None:
        match event:
            case Metrics(steps, _, values):
                self._last_step.update(dict.fromkeys(values, steps[-1]))
            case Image(path, step):
                self._images.add((path, step))
            case Text(path) | File(path):
                self._files.add(path)
