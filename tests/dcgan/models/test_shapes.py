"""Shapes that are followed on the CPU are those that are followed on `meta`."""

from __future__ import annotations

import pytest
import torch

from dcgan.config.loading import load_config, parse_override
from dcgan.models import build_networks
from dcgan.models.shapes import shape_device
from dcgan.profiling import step_memory
from dcgan.run_folder.describe import describe_network


def test_small_batches_are_computed_and_large_ones_are_not():
    assert shape_device(32, (32, 32)) == torch.device("cpu")
    assert shape_device(128, (64, 64)) == torch.device("meta")


def test_both_give_the_same_description_and_memory(monkeypatch: pytest.MonkeyPatch):
    settings = ("network.generator_features=2", "network.discriminator_features=2")
    config = load_config("digits", [parse_override(text) for text in settings])
    generator, _ = build_networks(config, seed=0)
    latents = torch.zeros(4, config.network.latent_size, 1, 1)
    described = describe_network(generator, latents)
    assert "[4, 1, 32, 32]" in described
    assert described == describe_network(generator, latents.to("meta"))
    cost = step_memory.step_cost.__wrapped__(config)
    monkeypatch.setattr(step_memory, "shape_device", lambda *_: torch.device("meta"))
    assert cost == step_memory.step_cost.__wrapped__(config)
