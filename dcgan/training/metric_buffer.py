"""Metrics stay on the device and are copied to the host in blocks of steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tracking.clock import now_ms
from tracking.events import BATCH, EPOCH, NETWORKS, Metrics

BLOCK_STEPS = 50
"""Steps after which a block is emitted."""

BLOCK_SECONDS = 1.0
"""Seconds after which a block is emitted, if its steps are slow."""


class MetricBuffer:
    """Collects each step's metrics; emits them as `Metrics` blocks, and each epoch's means.

    A block ends after 50 steps, or after one second if steps are slow, so a killed process
    loses at most a second of metrics. The host waits for the device only at a block's end. Sums
    are taken on the host, because not every device has float64.

    Args:
        emit: Takes the blocks and the epochs' means.
        sums: The current epoch's sums so far, float64 (metrics,); None at its start.
        count: The current epoch's steps so far.
        reduce: Takes a block (steps, metrics) of this process and returns that of all processes,
            which call it at the same steps: blocks then end only by steps. None for one process.

    Attributes:
        sums: The current epoch's sums up to the last flush; in a checkpoint, because an epoch
            can be interrupted.
        count: The current epoch's steps.
    """

    def __init__(
        self,
        emit: Callable[[Metrics], None],
        sums: Tensor | None,
        count: int,
        reduce: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._emit = emit
        self._reduce = reduce
        self._names: tuple[str, ...] = ()
        self._rows: list[Tensor] = []
        self._steps: list[int] = []
        self._times: list[int] = []
        self._norms: list[tuple[int, Tensor]] = []
        self._norm_names: tuple[str, ...] = ()
        self._block_began = time.monotonic()
        self.sums = sums
        self.count = count

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add a step's metrics: scalars on the device, with the same names in every step."""
        self._names = tuple(values)
        self.count += 1
        self._rows.append(torch.stack([value.detach() for value in values.values()]))
        self._steps.append(step)
        self._times.append(now_ms())
        block_seconds = time.monotonic() - self._block_began
        is_slow = self._reduce is None and block_seconds > BLOCK_SECONDS
        if len(self._rows) == BLOCK_STEPS or is_slow:
            self.flush()

    def add_norms(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add the norms that `NetworkNorms` measured at a step, the same in all processes."""
        self._norm_names = tuple(values)
        self._norms.append((step, torch.stack(list(values.values()))))

    def flush(self) -> None:
        """Emit the collected metrics."""
        self._flush_norms()
        if self._rows:
            block = torch.stack(self._rows)
            block = (self._reduce(block) if self._reduce else block).cpu().double()
            for row in block:
                self.sums = row if self.sums is None else self.sums + row
            paths = [f"{BATCH}/{name}" for name in self._names]
            values = dict(zip(paths, block.T.tolist(), strict=True))
            self._emit(Metrics(self._steps, self._times, values))
            self._rows, self._steps, self._times = [], [], []
        self._block_began = time.monotonic()

    def _flush_norms(self) -> None:
        if not self._norms:
            return
        steps = [step for step, _ in self._norms]
        columns = torch.stack([row for _, row in self._norms]).cpu().double().T.tolist()
        paths = [f"{NETWORKS}/{name}" for name in self._norm_names]
        self._emit(Metrics(steps, [now_ms()] * len(steps), dict(zip(paths, columns, strict=True))))
        self._norms = []

    def end_epoch(self, epoch: int, step: int) -> None:
        """Emit the epoch's means at the step of its last batch, and start the next epoch."""
        self.flush()
        if self.sums is None:
            return
        means = (self.sums / self.count).tolist()
        values = {f"{EPOCH}/{name}": [mean] for name, mean in zip(self._names, means, strict=True)}
        values = {f"{EPOCH}/number": [float(epoch)], **values}
        self._emit(Metrics([step], [now_ms()], values))
        self.sums, self.count = None, 0
