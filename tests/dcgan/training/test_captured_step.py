"""The replayed step against the eager one, by a capture that replays eagerly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock, call

import pytest
import torch
from torch import Tensor

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config
from dcgan.training import loop, network_norms
from dcgan.training.captured_step import (
    EAGER_STEPS,
    Capture,
    CapturedStep,
    capture_cuda_graph,
)
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.distributed import World
from dcgan.training.state import derive_seeds
from dcgan.training.step import AdversarialStep, Batch
from tests.dcgan.training.test_step import CRITIC, EVERY_STABILISER
from tracking.events import Event, Metrics

CPU = torch.device("cpu")
STEPS = 20
SMALL = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    "dataset.image_size=32",
    f"training.steps={STEPS}",
    "training.batch_size=8",
    "images.count=4",
)
WAYS = {
    "digits": ("digits", SMALL),
    "celeba": ("celeba", SMALL),
    "anime": ("anime", SMALL),
    "anime-tf": ("anime-tf", SMALL),
    "mnist-softmax": ("mnist-softmax", (*SMALL[3:], "dataset.image_size=16")),
    "mnist-ablation": ("mnist-ablation", SMALL[3:]),
    "every stabiliser": ("digits", (*SMALL, *EVERY_STABILISER)),
    "wgan_gp": ("digits", (*SMALL, *CRITIC)),
    "two learning rates": ("digits", (*SMALL, "optimizer.discriminator_lr=1e-3")),
    "two updates of D, two of G": (
        "digits",
        (
            *SMALL,
            "training.discriminator_step=two",
            "training.generator_steps=2",
            "training.generator_fakes=fresh",
        ),
    ),
}


class EagerReplay:
    """Imitates a CUDA graph on the CPU: what was captured runs again, into the same tensors.

    Attributes:
        replays: How often the graph was replayed.
    """

    def __init__(self) -> None:
        self.replays = 0

    def capture(
        self, function: Callable[[], dict[str, Tensor]]
    ) -> tuple[Callable[[], None], dict[str, Tensor]]:
        results: dict[str, Tensor] = {}

        def replay() -> None:
            self.replays += 1
            for name, value in function().items():
                results.setdefault(name, torch.empty_like(value)).copy_(value)

        return replay, results


def build(recipe: str, settings: tuple[str, ...]) -> Config:
    return load_config(recipe, [parse_override(text) for text in settings])


def images(config: Config) -> Tensor:
    """Two full batches for each update of D, and half a one."""
    count = 5 * config.training.batch_size * config.training.discriminator_batches // 2
    shape = (count, config.dataset.channels, config.dataset.image_size, config.dataset.image_size)
    rng = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng)


def train(config: Config) -> dict[str, list[float]]:
    events: list[Event] = []
    loop.train(config, images(config), device=CPU, emit=events.append, save=no_checkpoints)
    columns: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, Metrics) and event.steps:
            for path, values in event.values.items():
                if path.startswith(("training/batch/", "training/networks/")):
                    columns.setdefault(path, []).extend(values)
    return columns


@pytest.fixture(autouse=True)
def _norms_of_every_other_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of steps that are replayed, and of short ones that are not."""
    monkeypatch.setattr(network_norms, "MEASURED_EVERY", 2)


def replay_steps(
    monkeypatch: pytest.MonkeyPatch, capture: Capture, report: Callable[[str], None]
) -> None:
    def captured(state, config, device, world, total_steps, emit):
        step = AdversarialStep(state, config, device, world, total_steps)
        return CapturedStep(step, config.training, capture, report)

    monkeypatch.setattr(loop, "_training_step", captured)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("way", WAYS)
def test_twenty_replayed_steps_equal_the_eager_ones(way: str, monkeypatch: pytest.MonkeyPatch):
    config = build(*WAYS[way])
    eager = train(config)
    graph, reports, buffers = EagerReplay(), [], []
    update = AdversarialStep.update

    def watched(self: AdversarialStep, batches: list[Batch]) -> dict[str, Tensor]:
        buffers.append([batch.data_ptr() for _, batch in batches])
        return update(self, batches)

    monkeypatch.setattr(AdversarialStep, "update", watched)
    replay_steps(monkeypatch, graph.capture, reports.append)
    replayed = train(config)
    assert reports == ["replayed"]
    assert replayed.keys() == eager.keys()
    assert "training/networks/G_gradient_norm" in eager
    for path, values in eager.items():
        assert len(values) == (STEPS if "/batch/" in path else STEPS // 2)
        torch.testing.assert_close(replayed[path], values, rtol=1e-6, atol=1e-12)
    full = [step for step in range(STEPS) if step % 3 < 2]
    assert graph.replays == len(full) - EAGER_STEPS
    assert len({tuple(buffers[step]) for step in full[EAGER_STEPS:]}) == 1  # always the same


@pytest.mark.usefixtures("float64")
def test_a_step_that_cannot_be_captured_runs_eagerly(monkeypatch: pytest.MonkeyPatch):
    config = build(*WAYS["digits"])
    eager, reports = train(config), []

    def capture(function: Callable[[], dict[str, Tensor]]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    replay_steps(monkeypatch, capture, reports.append)
    assert train(config) == eager
    assert reports == ["not captured: operation not permitted when stream is capturing"]


@pytest.mark.usefixtures("float64")
def test_a_capture_that_fails_halfway_leaves_a_step_that_still_trains(
    monkeypatch: pytest.MonkeyPatch,
):
    recipe, settings = WAYS["every stabiliser"]
    config = build(recipe, (*settings, "training.steps=6"))
    eager, reports = train(config), []

    def without_memory(images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    def captured(part, state, config, device, world, total_steps, emit):
        step = AdversarialStep(state, config, device, world, total_steps)

        def capture(function: Callable[[], dict[str, Tensor]]) -> None:
            before, networks = copy.deepcopy(state.to_checkpoint()), step._networks
            step._networks = replace(networks, **{part: without_memory})
            try:
                function()
            finally:  # what is captured is not computed
                step._networks = networks
                state.restore(before, derive_seeds(config.seed))

        return CapturedStep(step, config.training, capture, reports.append)

    for part in ("discriminator", "discriminator_no_ddp"):  # in D's step, and in G's
        monkeypatch.setattr(loop, "_training_step", partial(captured, part))
        assert train(config) == eager
    assert reports == ["not captured: CUDA out of memory."] * 2


@pytest.mark.parametrize(
    ("device", "processes", "setting", "replays"),
    [
        ("cuda:0", 1, "true", True),
        ("cuda:0", 1, "false", False),
        ("cuda:0", 2, "true", False),  # processes exchange gradients within a step
        ("cpu", 1, "true", False),
        ("mps", 1, "true", False),
        ("xpu:0", 1, "true", False),
    ],
)
def test_steps_on_one_cuda_device_are_replayed(
    device: str, processes: int, setting: str, replays: bool, monkeypatch: pytest.MonkeyPatch
):
    eager, capture, events = Mock(), Mock(side_effect=RuntimeError("no memory")), []
    monkeypatch.setattr(loop, "AdversarialStep", lambda *arguments: eager)
    monkeypatch.setattr(loop, "capture_cuda_graph", capture)
    config = build("digits", (*SMALL, f"training.cuda_graph={setting}"))
    state, world = Mock(), World(rank=0, size=processes)
    step = loop._training_step(state, config, torch.device(device), world, STEPS, events.append)
    assert isinstance(step, CapturedStep) == replays
    if not replays:
        assert step is eager
        return
    batches = [(config.training.batch_size, torch.zeros(1))]
    for _ in range(EAGER_STEPS + 1):
        assert not capture.called
        step(batches)
    # Each replay must advance all random generators that a step draws from.
    capture.assert_called_once_with(step._update, generators=(state.latents, state.perturbations))
    assert [event.values for event in events] == [{"sys/cuda_graph": "not captured: no memory"}]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """`torch.cuda` as far as a capture needs it, which notes what is called."""
    calls = Mock()
    calls.graph.return_value = nullcontext()
    calls.current_stream.return_value = "the training's stream"
    for name in ("CUDAGraph", "graph", "current_stream", "set_stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(calls, name))
    return calls


def test_random_generators_are_known_to_the_graph_before_it_is_captured(cuda: Mock):
    latents, perturbations = Mock(), Mock()
    results = {"loss": torch.zeros(())}
    replay, found = capture_cuda_graph(lambda: results, (latents, perturbations))
    graph = cuda.CUDAGraph.return_value
    register = call.CUDAGraph().register_generator_state
    assert [each for each in cuda.mock_calls if each != call.current_stream()] == [
        call.CUDAGraph(),
        register(latents),
        register(perturbations),
        call.graph(graph, capture_error_mode="thread_local"),
    ]
    assert found is results
    assert replay is graph.replay
    assert not latents.graphsafe_set_state.called


def test_after_a_failed_capture_generators_draw_on_the_stream_of_the_training(cuda: Mock):
    latents = SimpleNamespace(clone_state=lambda: "before", graphsafe_set_state=Mock())

    def unsupported() -> dict[str, Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        capture_cuda_graph(unsupported, (latents,))
    cuda.set_stream.assert_called_once_with("the training's stream")
    latents.graphsafe_set_state.assert_called_once_with("before")
