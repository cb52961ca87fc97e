"""Single points of metrics as the blocks in which events carry them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tracking.events import Metrics

if TYPE_CHECKING:
    from tracking.tables import Point

BLOCK = 1000
"""Steps of a block."""


def metric_blocks(points: Iterable[Point]) -> Iterator[Metrics]:
    """Points in any order as blocks in the order of their steps.

    Of a path's points at a step the last counts. Values of a step that have one time are
    one row, as the run wrote them.
    """
    newest = {(path, step): (time, value) for path, step, time, value in points}
    rows: dict[tuple[int, int], dict[str, float]] = {}
    for (path, step), (time, value) in sorted(newest.items()):
        rows.setdefault((step, time), {})[path] = value
    for paths, alike in itertools.groupby(sorted(rows), key=lambda row: tuple(rows[row])):
        while block := list(itertools.islice(alike, BLOCK)):
            yield Metrics(
                steps=[step for step, _ in block],
                times=[time for _, time in block],
                values={path: [rows[row][path] for row in block] for path in paths},
            )
