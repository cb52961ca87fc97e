"""What processes exchange, and by what, without a second process or a GPU."""

from __future__ import annotations

import time

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from dcgan.config.schema import ConfigError
from dcgan.training.distributed import StopChecks, World, process_group
from dcgan.training.metric_buffer import MetricBuffer
from dcgan.training.sync_batch_norm import synchronise_batch_norm
from tracking.events import Metrics


def test_metrics_are_added_in_float64_though_float32_is_exchanged(monkeypatch: pytest.MonkeyPatch):
    exchanged: list[torch.dtype] = []

    def add_the_other(parts: Tensor) -> None:
        exchanged.append(parts.dtype)
        parts[0] += 1e8

    monkeypatch.setattr(dist, "all_reduce", add_the_other)
    blocks: list[Metrics] = []
    world = World(rank=1, size=2)
    metrics = MetricBuffer(blocks.append, None, 0, world.all_reduce_sum)
    for step in (1, 2):
        metrics.add(step, {"Gloss": torch.tensor(float(step))})
    metrics.end_epoch(1, 2)
    assert exchanged == [torch.float32]  # one exchange for a block, on devices without float64 too
    assert blocks[0].values["training/batch/Gloss"] == [1e8 + 1, 1e8 + 2]
    assert blocks[1].values["training/epoch/Gloss"] == [1e8 + 1.5]


def test_synchronised_batch_norm_exchanges_what_is_on_its_device(monkeypatch: pytest.MonkeyPatch):
    devices: list[str] = []
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: devices.append(tensor.device.type))
    elsewhere = torch.device("meta")
    network = synchronise_batch_norm(nn.Sequential(nn.BatchNorm2d(3)), torch.device("cpu"))
    images = torch.zeros(2, 3, 4, 4, device=elsewhere, requires_grad=True)
    network.to(elsewhere)(images).sum().backward()
    assert devices == ["meta"] * len(devices)
    assert len(devices) == 5  # count, mean and variance, and the gradients of the last two


def test_synchronised_batch_norm_in_bf16_takes_its_statistics_in_float32(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: None)
    maps = torch.randn(3, 2, 13, 13, generator=torch.Generator().manual_seed(0)).bfloat16()
    halves, whole = (
        synchronise_batch_norm(nn.Sequential(nn.BatchNorm2d(2)), torch.device("cpu"))
        for _ in range(2)
    )
    with torch.autocast("cpu", torch.bfloat16):
        normalised = halves(maps)
    assert normalised.dtype == nn.BatchNorm2d(2)(maps).dtype == torch.bfloat16
    assert torch.equal(normalised, whole(maps.float()).bfloat16())
    torch.testing.assert_close(halves.state_dict(), whole.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_on_gpus_it_is_that_of_pytorch(kind: str):
    network = synchronise_batch_norm(nn.Sequential(nn.BatchNorm2d(3)), torch.device(kind))
    assert isinstance(network[0], nn.SyncBatchNorm)


@pytest.mark.parametrize(
    ("kind", "missing", "expected"),
    [
        ("cuda", None, "nccl"),
        ("cuda", "is_nccl_available", "gloo"),  # Windows
        ("xpu", None, "xccl"),
        ("xpu", "is_xccl_available", "gloo"),
        ("cpu", None, "gloo"),
    ],
)
def test_processes_exchange_by_what_the_build_has(
    kind: str, missing: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("is_nccl_available", "is_xccl_available"):
        monkeypatch.setattr(dist, name, lambda name=name: name != missing)
    found: list[str] = []

    def stop(backend: str, **options: object) -> None:
        found.append(backend)
        raise InterruptedError

    monkeypatch.setattr(dist, "init_process_group", stop)
    store = dist.HashStore()
    monkeypatch.setattr("dcgan.training.distributed.rendezvous", lambda url: iter([(store, 0, 2)]))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InterruptedError), process_group(torch.device(kind)):
        pass
    assert found == [expected]


def test_several_processes_on_a_mac_are_told_what_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    processes = process_group(torch.device("mps"))
    with pytest.raises(ConfigError, match="Use --device cpu, or leave torchrun out"), processes:
        pass


@pytest.mark.parametrize(
    ("seconds_per_step", "checked"),
    [
        ((0.0, 0.01), [1, 21, 41, 61]),
        ((2.0, 1.0), [1, 3, 5, 7]),  # by the slowest, this or the other process
        ((1.0, 2.0), [1, 3, 5, 7]),
        ((40.0, 40.0), [1, 2, 3, 4]),
    ],
)
def test_a_stop_is_seen_before_torchrun_loses_patience(
    seconds_per_step: tuple[float, float], checked: list[int], monkeypatch: pytest.MonkeyPatch
):
    own, others = seconds_per_step
    clock, exchanged = 0.0, []

    def take_the_greater(answers: Tensor, operation: object) -> None:
        assert operation == dist.ReduceOp.MAX
        exchanged.append(step)
        answers.copy_(torch.maximum(answers, torch.tensor([float(step == checked[-1]), others])))

    monkeypatch.setattr(dist, "all_reduce", take_the_greater)
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    checks = StopChecks(World(rank=0, size=2), torch.device("cpu"), step=0)
    for step in range(1, 100):
        clock += own
        if checks.any_requested(False, step):
            break
    assert exchanged == checked
    assert step == checked[-1]
