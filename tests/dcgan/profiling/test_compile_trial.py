"""Whether torch.compile pays, by a short trial before a training, and what is then done."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._dynamo.backends.registry import lookup_backend

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config
from dcgan.jobs import run
from dcgan.profiling import step_timing
from dcgan.profiling.step_timing import CompileComparison, try_compiling
from tests.dcgan.training.test_step import CRITIC
from tracking.events import Event, Fields

CPU = torch.device("cpu")
NARROW = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    "training.batch_size=4",
    "images.count=4",
)


def configured(*settings: str) -> Config:
    return load_config("digits", [parse_override(text) for text in settings])


@pytest.mark.parametrize(("steps", "pays"), [(300, False), (301, True)])
def test_it_pays_if_the_whole_training_takes_less_time(
    steps: int, pays: bool, monkeypatch: pytest.MonkeyPatch
):
    def time_steps(config: Config, device: torch.device) -> SimpleNamespace:
        compiled = config.training.compile
        return SimpleNamespace(start=30.0 if compiled else 0.1, step=0.1 if compiled else 0.2)

    monkeypatch.setattr(step_timing, "_time_steps", time_steps)
    found = try_compiling(configured(), CPU, steps)
    assert found == CompileComparison(0.2, 0.1, 30.0, None, pays)
    used = "is used" if pays else "is not used"
    assert str(found) == (
        f"torch.compile {used}: a step takes 100 ms with it and 200 ms without, and it takes 30 s "
        "to start."
    )


def test_what_cannot_be_compiled_trains_without(monkeypatch: pytest.MonkeyPatch):
    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor], **options: object) -> Any:
        return lookup_backend("aot_eager")(graph, inputs)

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    monkeypatch.setattr(step_timing, "TRIAL_STEPS", 1)
    found = try_compiling(configured(*NARROW, *CRITIC), CPU, steps=10**6)
    assert found.failure is not None
    assert "double backward" in found.failure
    assert (found.compiled, found.start, found.pays) == (None, None, False)
    assert str(found).startswith("torch.compile is not used, because it fails here: ")
    assert try_compiling(configured(*NARROW), CPU, steps=10).failure is None


@pytest.mark.parametrize("pays", [False, True])
def test_a_training_is_compiled_as_the_trial_says(pays: bool, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    def compare(config: Config, device: torch.device, steps: int) -> CompileComparison:
        asked.append(steps)
        return CompileComparison(0.2, 0.1, 30.0, None, pays)

    monkeypatch.setattr(run, "try_compiling", compare)
    said: list[str] = []
    events: list[Event] = []

    def decided(compiled: str, processes: int = 1) -> bool:
        job: Any = SimpleNamespace(
            config=configured(f"training.compile={compiled}"),
            device=CPU,
            world=SimpleNamespace(size=processes),
            total_steps=100,
            first_step=40,
        )
        return run._decide_compilation(job, events.append, said.append).training.compile

    assert decided("true") == pays
    assert asked == [60]
    (event,) = events
    assert isinstance(event, Fields)
    assert event.values["sys/compile/pays"] == pays
    assert len(said) == 1
    assert not decided("false")
    # Each process would have a result of its own.
    assert decided("true", processes=2)
    assert asked == [60]
