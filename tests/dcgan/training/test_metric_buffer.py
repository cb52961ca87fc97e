"""When the metrics of a training leave the device."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dcgan.config.schema import Config
from dcgan.training import metric_buffer, network_norms
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.distributed import World
from dcgan.training.loop import train
from dcgan.training.metric_buffer import MetricBuffer
from tests.support.without_float64 import refuse_float64_on_the_device
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


def test_float64_is_made_on_the_host_alone(
    small_config: Callable[..., Config], pixels: Tensor, monkeypatch: pytest.MonkeyPatch
):
    converted = refuse_float64_on_the_device(monkeypatch)
    monkeypatch.setattr(network_norms, "MEASURED_EVERY", 2)
    config = small_config("training.epochs=1")
    cpu = torch.device("cpu")
    train(config, pixels, device=cpu, emit=lambda event: None, save=no_checkpoints)
    assert {each.shape[1] for each in converted} == {4, 5}  # norms, and metrics of each step
    monkeypatch.setattr(dist, "all_reduce", lambda parts: None)
    converted.clear()
    World(rank=0, size=2).all_reduce_sum(torch.ones(3, 5))
    assert [each.shape for each in converted] == [(2, 3, 5)]
