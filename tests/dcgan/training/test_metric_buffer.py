"""When the metrics of a training leave the device."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dcgan.training import metric_buffer
from dcgan.training.metric_buffer import MetricBuffer
from tracking.events import Metrics


def test_a_block_of_slow_steps_lasts_a_second_so_that_a_kill_costs_no_more(
    monkeypatch: pytest.MonkeyPatch,
):
    now = 100.0
    monkeypatch.setattr(metric_buffer, "time", SimpleNamespace(monotonic=lambda: now))
    blocks: list[Metrics] = []
    metrics = MetricBuffer(blocks.append, None, 0)
    for step in range(1, 11):
        now += 0.3
        metrics.add(step, {"Gloss": torch.tensor(float(step))})
    assert [list(block.steps) for block in blocks] == [[1, 2, 3, 4], [5, 6, 7, 8]]
