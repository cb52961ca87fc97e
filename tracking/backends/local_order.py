"""Restores the step order of the lines in a journal's metrics."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tracking.atomic_files import atomic_write
from tracking.backends.local import LAST_FILE, METRICS_FILE
from tracking.backends.local_metrics import complete_lines, entries_of


def order_steps(folder: Path) -> None:
    """Sort the lines of a run that has ended, after lines for earlier steps were added.

    The sort is stable: of several lines of one step, the newest stays last. Damaged lines, whose
    step is unknown, stay behind the line before them. The caller holds the run's lock.
    """
    metrics = folder / METRICS_FILE
    lines = complete_lines(metrics).splitlines(keepends=True)
    rows = [entries_of(line) for line in lines]
    steps: list[float] = []
    for row in rows:
        steps.append(row["step"] if row is not None else steps[-1] if steps else -math.inf)
    order = sorted(range(len(rows)), key=lambda number: steps[number])
    with atomic_write(metrics) as temporary:
        temporary.write_bytes(b"".join(lines[number] for number in order))
    last: dict[str, Any] = {}
    for number in order:
        last |= rows[number] or {}
    with atomic_write(folder / LAST_FILE) as temporary:
        text = json.dumps(dict(sorted(last.items())), indent=2, ensure_ascii=False)
        temporary.write_bytes(f"{text}\n".encode())
