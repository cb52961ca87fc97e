"""Metrics wait on the device and cross to the host a block of steps at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tracking.clock import now_ms
from tracking.events import BATCH, EPOCH, Metrics

BLOCK_STEPS = 50
BLOCK_SECONDS = 1.0


class MetricBuffer:
    """Collects one value a metric and step; emits `Metrics` blocks and the means of an epoch.

    A block ends after 50 steps, or after one second where steps are slow, so that a
    killed process loses no more than a second. Only then does the host wait for the device.

    sums: float64 (metrics,), this epoch's sums so far; count: its steps so far. Both
        belong to a checkpoint, since an epoch can be interrupted in its middle.
    """

    def __init__(self, emit: Callable[[Metrics], None], sums: Tensor | None, count: int) -> None:
        self._emit = emit
        self._names: tuple[str, ...] = ()
        self._rows: list[Tensor] = []
        self._steps: list[int] = []
        self._times: list[int] = []
        self._began = time.monotonic()
        self.sums = sums
        self.count = count

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """values: scalars on the device, the same names in every step."""
        self._names = tuple(values)
        row = torch.stack([value.detach() for value in values.values()]).double()
        self.sums = row if self.sums is None else self.sums + row
        self.count += 1
        self._rows.append(row)
        self._steps.append(step)
        self._times.append(now_ms())
        if len(self._rows) == BLOCK_STEPS or time.monotonic() - self._began > BLOCK_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Emit what has been collected."""
        if self._rows:
            columns = torch.stack(self._rows, dim=1).tolist()
            paths = [f"{BATCH}/{name}" for name in self._names]
            block = dict(zip(paths, columns, strict=True))
            self._emit(Metrics(self._steps, self._times, block))
            self._rows, self._steps, self._times = [], [], []
        self._began = time.monotonic()

    def end_epoch(self, epoch: int, step: int) -> None:
        """Emit the epoch's means at the step of its last batch, and start the next epoch."""
        self.flush()
        if self.sums is None:
            return
        means = (self.sums / self.count).tolist()
        values = {f"{EPOCH}/{name}": [mean] for name, mean in zip(self._names, means, strict=True)}
        now = now_ms()
        self._emit(Metrics([step], [now], {f"{EPOCH}/number": [float(epoch)], **values}))
        self.sums, self.count = None, 0
