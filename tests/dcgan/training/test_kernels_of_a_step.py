"""What one step asks of a device and of other processes, counted by its operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dcgan.models.ema import moving_average, update_moving_average
from dcgan.training import called_networks
from dcgan.training.compiled import CompiledForFullBatches
from dcgan.training.distributed import SINGLE_PROCESS, World
from dcgan.training.network_norms import MEASURED_EVERY, NetworkNorms
from dcgan.training.state import derive_seeds, initial_state
from dcgan.training.step import AdversarialStep
from tests.dcgan.training.test_captured_step import WAYS, build, images

CPU = torch.device("cpu")
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2"}
"""Operators whose results, or the shapes of them, the host must know."""
SORTING = {"index_put", "_index_put_impl", "_unsafe_index_put", "embedding_dense_backward"}
"""Operators that sort indices on a GPU."""


class Operators(TorchDispatchMode):
    """Counts operators, those that copy a tensor to another device, and the types of results."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.crossing: list[str] = []
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        self.names[name.rstrip("_")] += 1
        result = function(*arguments, **(options or {}))
        self.dtypes |= {each.dtype for each in tree_leaves(result) if isinstance(each, Tensor)}
        tensors = [each for each in (*arguments, result) if isinstance(each, Tensor)]
        if len({each.device for each in tensors if each.dim()}) > 1:
            self.crossing.append(name)
        return result


def new_step(way: str, world: World = SINGLE_PROCESS, *settings: str) -> AdversarialStep:
    recipe, own = WAYS[way]
    config = build(recipe, (*own, *settings))
    state = initial_state(config, derive_seeds(0), CPU, SINGLE_PROCESS)
    return AdversarialStep(state, config, CPU, world, total_steps=20)


def full_batches(step: AdversarialStep, world: World = SINGLE_PROCESS) -> list[tuple[int, Tensor]]:
    training = step._config.training
    parts = images(step._config).split(training.batch_size)
    return [(len(part), world.shard(part)) for part in parts[: training.discriminator_batches]]


@pytest.mark.parametrize("way", ["celeba", "anime", "every stabiliser", "wgan_gp"])
def test_the_host_neither_waits_for_a_step_nor_lets_it_sort(way: str):
    without_average = ("stabilisers.generator_ema=0", "images.weights=current")
    step = new_step(way, SINGLE_PROCESS, *without_average)
    batches = full_batches(step)
    step(batches)  # Adam makes its state
    step.set_instance_noise()
    norms = NetworkNorms(step._state.generator, step._state.discriminator)
    assert norms.remember_weights(MEASURED_EVERY)
    with Operators() as operators:
        step.update(batches)
        norms.measure(step.gradients())
    assert operators.names["_fused_adam"] >= 2
    assert not (WAITING | SORTING) & operators.names.keys()
    assert torch.float64 not in operators.dtypes  # which MPS and some GPUs of Intel lack


def test_convolutions_see_channels_last_memory():
    step = new_step("celeba")
    seen: list[bool] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (maps,) = inputs
        # Where one side, or the channels, are of one pixel, both formats are the same.
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and 1 not in maps.shape:
            seen.append(maps.is_contiguous(memory_format=torch.channels_last))

    for network in (step._state.generator, step._state.discriminator):
        for layer in network:
            layer.register_forward_pre_hook(look)
    step(full_batches(step))
    assert len(seen) > 8
    assert all(seen)


def test_a_moving_average_copies_nothing_between_host_and_device():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).to("meta")
    average = moving_average(network, 0.9)
    update_moving_average(average, network, 0.9)
    with Operators() as operators:
        update_moving_average(average, network, 0.9)
    assert operators.names["_foreach_lerp"] == 1
    assert operators.names["_to_copy"] == 0
    assert not operators.crossing


@pytest.fixture
def one_of_two() -> Iterator[World]:
    """The first of two processes, whose gradients are averaged over itself alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield World(rank=0, size=2)
    dist.destroy_process_group()


@pytest.mark.parametrize(("setting", "exchanges"), [("accumulated", 1), ("joint", 1), ("two", 2)])
def test_gradients_are_averaged_once_for_each_update(
    setting: str, exchanges: int, one_of_two: World
):
    step = new_step("digits", one_of_two, f"training.discriminator_step={setting}")
    counts: Counter[str] = Counter()

    def count(state, bucket):  # PyTorch compares annotations with its own, which are no strings
        counts["D"] += bucket.is_last()
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    wrapper = step._networks.discriminator_ddp
    wrapper.register_comm_hook(None, count)
    wrapper.register_forward_pre_hook(lambda *_: counts.update(["passes"]))
    step(full_batches(step, one_of_two))
    assert counts["D"] == exchanges
    assert counts["passes"] == 2  # not in G's step, which needs no gradients of D


def test_networks_are_compiled_before_they_are_wrapped(
    one_of_two: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)
    step = new_step("digits", one_of_two, "training.compile=true")
    wrapped = step._networks.discriminator_ddp
    assert isinstance(wrapped, nn.parallel.DistributedDataParallel)
    assert isinstance(wrapped.module, CompiledForFullBatches)
    assert wrapped.module._full == step._config.training.batch_size // 2


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("setting", ["accumulated", "joint", "two"])
def test_several_processes_train_by_the_layers_of_cuda_as_by_plain_ones(
    setting: str, one_of_two: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)
    settings = [f"training.discriminator_step={setting}"]
    found = []
    for fast, compiled in ((False, "false"), (True, "false"), (True, "true")):
        monkeypatch.setattr(called_networks, "has_fast_layers", lambda device, fast=fast: fast)
        step = new_step("digits", one_of_two, *settings, f"training.compile={compiled}")
        found.append(step(full_batches(step, one_of_two)))
    plain, *others = found
    for other in others:
        torch.testing.assert_close(other, plain, rtol=1e-9, atol=0)
