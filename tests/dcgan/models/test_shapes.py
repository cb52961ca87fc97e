"""Shapes that are followed on the CPU are those that are followed on `meta`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config
from dcgan.models import build_networks, shapes
from dcgan.models.shapes import shape_device
from dcgan.profiling import step_memory
from dcgan.run_folder.describe import describe_network


def digits(*settings: str) -> Config:
    return load_config("digits", [parse_override(text) for text in settings])


def test_small_batches_are_computed_and_large_ones_are_not() -> None:
    assert shape_device(digits(), 32) == torch.device("cpu")
    assert shape_device(digits("dataset.image_size=64"), 128) == torch.device("meta")


def test_the_weights_of_wide_networks_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[nn.Module] = []

    def build(config: Config, seed: int) -> tuple[nn.Sequential, nn.Sequential]:
        networks = build_networks(config, seed)
        built.extend(networks)
        return networks

    monkeypatch.setattr(shapes, "build_networks", build)
    wide = digits("network.discriminator_features=600")
    assert step_memory.step_cost.__wrapped__(wide).fixed_bytes > 2**28
    assert {each.device.type for network in built for each in network.parameters()} == {"meta"}


def test_both_give_the_same_description_and_memory(monkeypatch: pytest.MonkeyPatch):
    config = digits("network.generator_features=2", "network.discriminator_features=2")
    generator, _ = build_networks(config, seed=0)
    latents = torch.zeros(4, config.network.latent_size, 1, 1)
    described = describe_network(generator, latents)
    assert "[4, 1, 32, 32]" in described
    assert described == describe_network(generator, latents.to("meta"))
    cost = step_memory.step_cost.__wrapped__(config)
    monkeypatch.setattr(shapes, "shape_device", lambda *_: torch.device("meta"))
    assert cost == step_memory.step_cost.__wrapped__(config)
