"""The layers for CUDA against PyTorch's own, on the CPU in float64: the same numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcgan.config.loading import load_config, parse_override, recipe_names
from dcgan.cuda.fast_layers import FastLayers, convolve, convolve_transposed
from dcgan.models import build_networks

HALVES = {"kernel_size": 4, "stride": 2, "padding": 1}
WHOLE = {"kernel_size": 4}
EXACT = {"rtol": 1e-11, "atol": 1e-11}

LAYERS: dict[str, tuple[nn.Module, tuple[int, int], str]] = {
    "three channels": (nn.Conv2d(3, 5, **HALVES), (8, 12), "conv2d (2, 16, 5, 7) by 2"),
    "one channel": (nn.Conv2d(1, 5, **HALVES, bias=False), (28, 28), "conv2d (2, 8, 15, 15) by 2"),
    "an odd side": (nn.Conv2d(3, 5, **HALVES), (9, 8), "conv2d (2, 3, 9, 8) by 4"),
    "many channels": (nn.Conv2d(8, 5, **HALVES), (8, 8), "conv2d (2, 8, 8, 8) by 4"),
    "a filter as large as the map": (nn.Conv2d(6, 2, **WHOLE), (4, 4), ""),
    "a filter smaller than the map": (nn.Conv2d(6, 2, **WHOLE), (5, 4), "conv2d (2, 6, 5, 4) by 4"),
    "to three channels": (
        nn.ConvTranspose2d(6, 3, **HALVES),
        (4, 6),
        "conv_transpose2d (2, 6, 4, 6) by 2",
    ),
    "to one channel": (
        nn.ConvTranspose2d(6, 1, **HALVES, bias=False),
        (14, 14),
        "conv_transpose2d (2, 6, 14, 14) by 2",
    ),
    "to an odd side": (
        nn.ConvTranspose2d(6, 3, **HALVES, output_padding=1),
        (4, 4),
        "conv_transpose2d (2, 6, 4, 4) by 4",
    ),
    "to many channels": (
        nn.ConvTranspose2d(6, 8, **HALVES),
        (4, 4),
        "conv_transpose2d (2, 6, 4, 4) by 4",
    ),
    "from one pixel": (nn.ConvTranspose2d(6, 3, **WHOLE, bias=False), (1, 1), ""),
    "from one pixel, with a stride": (nn.ConvTranspose2d(6, 3, **WHOLE, stride=2), (1, 1), ""),
}
"""A layer, the height and width of its maps, and what PyTorch then convolves."""


@pytest.fixture
def convolutions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What PyTorch convolves: the function, the shape of its input, and the filters' width."""
    called: list[str] = []

    def watch(name: str) -> None:
        function = getattr(nn.functional, name)

        def watched(maps: Tensor, weight: Tensor, *rest: Any, **more: Any) -> Tensor:
            called.append(f"{name} {tuple(maps.shape)} by {weight.shape[-1]}")
            return function(maps, weight, *rest, **more)

        for module in ("torch.nn.functional", "dcgan.cuda.fast_layers"):
            monkeypatch.setattr(f"{module}.{name}", watched)

    watch("conv2d")
    watch("conv_transpose2d")
    return called


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_has_the_same_maps_and_gradients(name: str, convolutions: list[str]):
    layer, size, convolved = LAYERS[name]
    layer = layer.double()
    rng = torch.Generator().manual_seed(0)
    maps = torch.randn(
        2, int(layer.in_channels), *size, generator=rng, dtype=torch.float64, requires_grad=True
    )
    expected = layer(maps)
    convolutions.clear()
    fast: Callable[..., Tensor] = convolve if isinstance(layer, nn.Conv2d) else convolve_transposed
    found = fast(layer, maps)
    assert convolutions == ([convolved] if convolved else [])
    torch.testing.assert_close(found, expected, **EXACT)
    weights = torch.randn(expected.shape, generator=rng, dtype=torch.float64)
    inputs = (maps, *layer.parameters())
    gradients = [
        torch.autograd.grad(output, inputs, weights, create_graph=True)
        for output in (found, expected)
    ]
    torch.testing.assert_close(*gradients, **EXACT)
    # As the gradient penalty has them.
    second = [torch.autograd.grad(first.square().sum(), layer.weight) for first, *_ in gradients]
    torch.testing.assert_close(*second, **EXACT)


def networks(recipe: str) -> tuple[nn.Module, nn.Module, torch.Size]:
    """Both networks of a recipe, in float64, and the shape of its latents without the batch."""
    narrow = ("network.generator_features=4", "network.discriminator_features=4")
    config = load_config(recipe, [parse_override(text) for text in narrow])
    generator, discriminator = build_networks(config, seed=0)
    return (
        generator.double(),
        discriminator.double(),
        torch.Size([config.network.latent_size, 1, 1]),
    )


def results(network: nn.Module, call: Callable[[], Tensor]) -> dict[str, Tensor]:
    """The output, the gradients, and batch norm's statistics, which the call has moved."""
    network.zero_grad()
    output = call()
    output.square().sum().backward()
    gradients = {name: each.grad for name, each in network.named_parameters()}
    return {"output": output} | gradients | dict(network.named_buffers())


@pytest.mark.parametrize("recipe", recipe_names())
def test_the_networks_of_each_recipe_are_the_same(recipe: str):
    for which in (0, 1):
        found = []
        for fast in (True, False):
            *pair, latent = networks(recipe)
            rng = torch.Generator().manual_seed(0)
            inputs = torch.randn(4, *latent, generator=rng, dtype=torch.float64)
            if which == 1:
                with torch.no_grad():
                    inputs = pair[0](inputs)
            network = pair[which]
            called = FastLayers(network) if fast else network
            found.append(results(network, lambda called=called, inputs=inputs: called(inputs)))
        torch.testing.assert_close(*found, **EXACT)


@pytest.mark.parametrize("recipe", recipe_names())
def test_one_pass_in_two_parts_is_two_passes(recipe: str):
    generator, _, latent = networks(recipe)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        images = generator(torch.randn(6, *latent, generator=rng, dtype=torch.float64))
    images[3:] *= 0.5  # other statistics than the first part's
    found = []
    for parts in (2, 1):
        _, discriminator, _ = networks(recipe)
        fast = FastLayers(discriminator)
        calls = {
            2: lambda fast=fast: fast(images, parts=2),
            1: lambda fast=fast: torch.cat([fast(part) for part in images.chunk(2)]),
        }
        found.append(results(discriminator, calls[parts]))
    torch.testing.assert_close(*found, **EXACT)


class Residual(nn.Module):
    """A block with a way of its own through its layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.inner(maps)


@pytest.mark.parametrize("parts", [1, 2])
def test_layers_that_come_again_and_nested_ones_are_computed_like_others(parts: int):
    again = nn.LeakyReLU(0.2)
    inner = nn.Sequential(nn.Conv2d(3, 4, **HALVES), nn.BatchNorm2d(4), again)
    network = nn.Sequential(again, inner, Residual(4), again, nn.Conv2d(4, 1, **WHOLE)).double()
    other = copy.deepcopy(network)
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 8, 8, generator=rng, dtype=torch.float64)
    images[2:] *= 0.5
    found = results(network, lambda: FastLayers(network)(images, parts))
    expected = results(other, lambda: torch.cat([other(part) for part in images.chunk(parts)]))
    torch.testing.assert_close(found, expected, **EXACT)
