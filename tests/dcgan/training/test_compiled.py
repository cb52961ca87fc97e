"""Networks by torch.compile: what is compiled, and that the numbers stay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.registry import lookup_backend

from dcgan.cuda.fast_layers import FastLayers
from dcgan.selftest import checks
from dcgan.training import called_networks
from dcgan.training.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    no_checkpoints,
    save_checkpoint,
)
from dcgan.training.loop import train
from tracking.events import Event, Metrics

CPU = torch.device("cpu")


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of operators in each graph that torch.compile made, here by its eager backend."""
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor], **options: object):
        graphs.append(len(graph.graph.nodes))
        return lookup_backend("aot_eager")(graph, inputs)

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return graphs


def g_losses(config, pixels) -> list[float]:
    events: list[Event] = []
    train(config, pixels, device=CPU, emit=events.append, save=no_checkpoints)
    path = "training/batch/Gloss"
    blocks = [e.values for e in events if isinstance(e, Metrics) and path in e.values]
    return [value for block in blocks for value in block[path]]


@pytest.mark.usefixtures("float64")
def test_a_short_last_batch_neither_compiles_again_nor_changes_the_losses(
    small_config, pixels, compilations: list[int]
):
    compiled = small_config("training.compile=true")
    g_losses(compiled, pixels[:32])
    for_full_batches = list(compilations)
    assert for_full_batches
    for count in (24, 40, 72):  # 2, 3 or 5 steps an epoch
        torch.compiler.reset()
        compilations.clear()
        with_a_short_one = torch.cat([pixels, pixels])[:count]
        losses = g_losses(compiled, with_a_short_one)
        assert compilations == for_full_batches, count
        plain = g_losses(small_config(), with_a_short_one)
        torch.testing.assert_close(losses, plain, rtol=1e-6, atol=0)


def test_the_layers_of_cuda_are_those_of_every_cuda_device_and_of_no_other():
    kinds = ("cuda", "cuda:1", "cpu", "mps", "xpu")
    found = [called_networks.has_fast_layers(torch.device(kind)) for kind in kinds]
    assert found == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("device", "compiled", "bypasses"),
    [("cpu", "false", True), ("cpu", "true", False), ("cuda", "false", False)],
)
def test_the_convolutions_of_the_cpu_are_for_networks_that_are_not_compiled(
    device: str, compiled: str, bypasses: bool, small_config, monkeypatch: pytest.MonkeyPatch
):
    passed: list[Tensor] = []

    def watched(network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        passed.append(inputs)
        return network(inputs)

    monkeypatch.setattr(called_networks, "with_fast_convolutions", watched)
    config = small_config(f"training.compile={compiled}")
    inputs = torch.ones(1)
    called = called_networks._in_precision(lambda found: found, config, torch.device(device))
    assert called(inputs) is inputs
    assert len(passed) == bypasses


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains with the layers that CUDA has."""
    monkeypatch.setattr(called_networks, "has_fast_layers", lambda device: True)


@pytest.mark.usefixtures("float64", "on_cuda")
def test_with_the_layers_of_cuda_the_losses_are_those_of_plain_networks(
    small_config, pixels, compilations: list[int], monkeypatch: pytest.MonkeyPatch
):
    eager = g_losses(small_config(), pixels)
    assert not compilations
    compiled = g_losses(small_config("training.compile=true"), pixels)
    assert compilations
    monkeypatch.undo()
    plain = g_losses(small_config(), pixels)
    torch.testing.assert_close(eager, plain, rtol=1e-9, atol=0)
    torch.testing.assert_close(compiled, plain, rtol=1e-6, atol=0)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("compiled", ["false", "true"])
def test_a_run_goes_on_where_networks_are_computed_in_another_way(
    compiled: str, small_config, pixels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)
    average = "stabilisers.generator_ema=0.9"

    def saved_after(epochs: int, *, fast: bool, start: str | None, name: str) -> dict[str, Any]:
        monkeypatch.setattr(called_networks, "has_fast_layers", lambda device: fast)
        as_compiled = f"training.compile={compiled if fast else 'false'}"
        train(
            small_config(average, as_compiled, f"training.epochs={epochs}"),
            pixels,
            device=CPU,
            emit=lambda event: None,
            save=partial(save_checkpoint, tmp_path / name),
            resume_from=load_checkpoint(find_checkpoint(tmp_path / start)) if start else None,
        )
        return load_checkpoint(find_checkpoint(tmp_path / name))

    plain = saved_after(2, fast=False, start=None, name="plain")
    saved_after(1, fast=True, start=None, name="fast")
    saved_after(1, fast=False, start=None, name="slow")
    for fast, start in ((False, "fast"), (True, "slow")):
        found = saved_after(2, fast=fast, start=start, name=f"after {start}")
        for part in ("generator", "discriminator", "average"):
            assert list(found[part]) == list(plain[part])
            torch.testing.assert_close(found[part], plain[part], rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("on_cuda")
@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ((), [1, 1, 1, 1]),  # D on real images, G, D on fakes, D on the same fakes
        (("training.compile=true",), [1, 2, 1]),  # G, D on both, D on the same fakes
        (("training.compile=true", "stabilisers.spectral_norm=true"), [1, 1, 1, 1]),
    ],
)
def test_compiled_for_cuda_d_sees_real_images_and_fakes_in_one_pass(
    settings: tuple[str, ...],
    parts: list[int],
    small_config,
    pixels,
    monkeypatch: pytest.MonkeyPatch,
):
    forward, passes = FastLayers.forward, []

    def watched(network: FastLayers, maps: torch.Tensor, parts: int = 1) -> torch.Tensor:
        passes.append(parts)
        return forward(network, maps, parts)

    monkeypatch.setattr(FastLayers, "forward", watched)
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)
    g_losses(small_config("training.steps=1", *settings), pixels)
    assert passes == parts


@pytest.mark.usefixtures("float64")
def test_a_pass_of_d_over_both_is_compiled_where_there_is_no_batch_norm_to_keep_apart(
    small_config, pixels, monkeypatch: pytest.MonkeyPatch
):
    without_norms = "network.discriminator_batch_norm=none"
    plain = g_losses(small_config(without_norms), pixels)
    compiled_for: list[int] = []

    def compiled(network: Callable[..., Tensor], **options: object) -> Callable[..., Tensor]:
        def called(inputs: Tensor, *rest: Tensor, **more: object) -> Tensor:
            if inputs.dim() == 4 and inputs.shape[2:] == (32, 32):
                compiled_for.append(len(inputs))
            return network(inputs, *rest, **more)

        # Or Inductor would give up channels-last memory.
        assert options["options"] == {"force_layout_optimization": True}
        return called

    monkeypatch.setattr(torch, "compile", compiled)
    losses = g_losses(small_config(without_norms, "training.compile=true"), pixels)
    # The last batch of each epoch is short; the other two are seen by D's step and by G's.
    assert compiled_for == [32, 16] * 4
    torch.testing.assert_close(losses, plain, rtol=1e-9, atol=0)


@pytest.mark.usefixtures("on_cuda", "compilations")
def test_the_self_test_compares_compiled_networks(monkeypatch: pytest.MonkeyPatch):
    small = checks._small
    narrow = tuple(f"network.{name}_features=4" for name in ("generator", "discriminator"))
    monkeypatch.setattr(checks, "_small", lambda recipe, *rest: small(recipe, *rest, *narrow))
    assert "networks that are not compiled" in checks._compiling_changes_nothing(CPU)
    in_parts = FastLayers.forward
    together = lambda network, maps, parts=1: in_parts(network, maps)  # noqa: E731
    monkeypatch.setattr(FastLayers, "forward", together)
    with pytest.raises(checks.CheckError, match="allowed"):
        checks._compiling_changes_nothing(CPU)
    assert checks.run_check("torch.compile", CPU).result == "skipped"
