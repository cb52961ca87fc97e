"""Moving a run between stores: blocks of metrics, and which events a store still lacks."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tracking.events import Event, File, Image, Metrics, Text
from tracking.tracker import Held

if TYPE_CHECKING:
    from tracking.tables import Point

Row: TypeAlias = tuple[int, int, Mapping[str, float]]
"""A step, its time in milliseconds since the Unix epoch, and its values by path."""

_BLOCK_STEPS = 1000


class Ledger:
    """Tracks what one store holds, and passes on only the events that it lacks."""

    def __init__(self, held: Held) -> None:
        self._last_step = dict(held.last_step)
        self._last_time = dict(held.last_time)
        self._images = set(held.images)
        self._files = set(held.files)
        self._digests = dict(held.digests)

    def missing(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield the events, or parts of them, that the store lacks.

        An event counts as held once the next one is requested; if writing it raised an error, it
        is still missing.
        """
        for event in events:
            match event:
                case Metrics():
                    for part in self._later_steps(event):
                        yield part
                        self._enter_steps(part)
                case Image(path, step):
                    if (path, step) not in self._images:
                        yield event
                        self._images.add((path, step))
                case Text(path):
                    if path not in self._files:
                        yield event
                        self._files.add(path)
                case File():
                    yield from self._changed_file(event)
                case _:
                    yield event

    def _later_steps(self, block: Metrics) -> Iterator[Metrics]:
        """For each path, a block from the first value that the store lacks.

        That is the first one of a later step or, if a step was measured again, of a later time.
        """

        def first(path: str) -> int:
            last_step = self._last_step.get(path)
            if last_step is None:
                return 0
            last_time = self._last_time.get(path, math.inf)
            pairs = enumerate(zip(block.steps, block.times, strict=True))
            later = (i for i, (step, time) in pairs if step > last_step or time > last_time)
            return next(later, len(block.steps))

        for start, paths in itertools.groupby(sorted(block.values, key=first), key=first):
            if start < len(block.steps):
                yield Metrics(
                    block.steps[start:],
                    block.times[start:],
                    {path: block.values[path][start:] for path in paths},
                )

    def _enter_steps(self, block: Metrics) -> None:
        self._last_step.update(dict.fromkeys(block.values, block.steps[-1]))
        latest = max(block.times)
        for path in block.values:
            self._last_time[path] = max(latest, self._last_time.get(path, latest))

    def _changed_file(self, file: File) -> Iterator[File]:
        """The file, unless the store has it with this content, or with one that is not known."""
        is_held, held_digest = file.path in self._files, self._digests.get(file.path)
        if is_held and held_digest is None:
            return
        # Read before the file is written: should it change meanwhile, it is sent once more.
        digest = sha256_of(file.source)
        if is_held and held_digest == digest:
            return
        yield file
        self._files.add(file.path)
        self._digests[file.path] = digest


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digests_of(files: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of a store's files by path, as `Held` has them: of those that are not texts."""
    return {path: sha256_of(file) for path, file in files.items() if file.suffix != ".txt"}


def last_of(points: Iterable[Point]) -> tuple[dict[str, int], dict[str, int]]:
    """The last step and the latest time of each metric's path, as `Held` has them."""
    last_step: dict[str, int] = {}
    last_time: dict[str, int] = {}
    for path, step, time, _ in points:
        last_step[path] = max(step, last_step.get(path, step))
        last_time[path] = max(time, last_time.get(path, time))
    return last_step, last_time


def gather(points: Iterable[Point]) -> Iterator[Metrics]:
    """Points in any order as blocks in the order of their steps; each keeps its own time.

    Of points with the same path, step and time, the last counts.
    """
    rows: dict[tuple[int, int], dict[str, float]] = {}
    for path, step, time, value in points:
        rows.setdefault((step, time), {})[path] = value
    return blocks((*key, dict(sorted(rows[key].items()))) for key in sorted(rows))


def blocks(rows: Iterable[Row]) -> Iterator[Metrics]:
    """Rows as blocks of at most 1,000 consecutive rows that have the same paths."""
    for _, same_paths in itertools.groupby(rows, key=lambda row: tuple(row[2])):
        while block := list(itertools.islice(same_paths, _BLOCK_STEPS)):
            yield Metrics(
                steps=[step for step, _, _ in block],
                times=[time for _, time, _ in block],
                values={path: [values[path] for _, _, values in block] for path in block[0][2]},
            )
