"""Networks by torch.compile: what is compiled, and that the numbers stay."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch._dynamo.backends.registry import lookup_backend

from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.loop import train
from tracking.events import Event, Metrics

CPU = torch.device("cpu")


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of operators in each graph that torch.compile made, here by its eager backend."""
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]):
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
