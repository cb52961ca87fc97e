"""Winograd's convolutions against PyTorch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcgan import winograd
from dcgan.winograd import WinogradConvolutions

LAYERS = [(nn.Conv2d, (4, 8)), (nn.Conv2d, (12, 16)), (nn.ConvTranspose2d, (2, 6))]


@pytest.fixture(autouse=True)
def every_layer_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "WIDE", 1)


def layer_and_images(kind: Any, size: tuple[int, int]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layer = kind(3, 5, 4, stride=2, padding=1, bias=False).double()
    return layer, torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("kind", "size"), LAYERS)
def test_it_is_the_same_convolution_with_the_same_gradients(kind: Any, size: tuple[int, int]):
    layer, images = layer_and_images(kind, size)
    expected = layer(images)
    weights = torch.randn_like(expected)
    with WinogradConvolutions():
        maps = layer(images)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(maps, expected), "it is another order of summing"
    torch.testing.assert_close(maps, expected, rtol=1e-12, atol=1e-12)
    inputs = (images, layer.weight)
    torch.testing.assert_close(
        torch.autograd.grad(maps, inputs, weights),
        torch.autograd.grad(expected, inputs, weights),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize(("kind", "size"), LAYERS)
def test_gradients_of_gradients_are_right(kind: Any, size: tuple[int, int]):
    layer, images = layer_and_images(kind, size)

    def convolve(images: Tensor, weight: Tensor) -> Tensor:
        with WinogradConvolutions():
            return torch.func.functional_call(layer, {"weight": weight}, images)

    small = images[:1].detach().requires_grad_()
    assert torch.autograd.gradgradcheck(convolve, (small, layer.weight), fast_mode=True)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 5, 4, stride=2, padding=1),
        nn.Conv2d(3, 5, 4, stride=1, padding=0, bias=False),
        nn.Conv2d(3, 5, 5, stride=2, padding=2, bias=False),
        nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1),
        nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1, output_padding=1, bias=False),
        nn.Linear(16, 2),
    ],
)
def test_other_layers_are_left_to_pytorch(layer: nn.Module):
    images = torch.randn(2, 3, 16, 16)
    with WinogradConvolutions():
        ours = layer(images)
    assert torch.equal(ours, layer(images))


def test_narrow_layers_odd_sizes_and_bfloat16_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch):
    layer = nn.Conv2d(3, 5, 4, stride=2, padding=1, bias=False)
    odd, even = torch.randn(2, 3, 14, 14), torch.randn(2, 3, 16, 16)
    with WinogradConvolutions():
        assert torch.equal(layer(odd), nn.functional.conv2d(odd, layer.weight, None, 2, 1))
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(even).dtype == torch.bfloat16
    monkeypatch.setattr(winograd, "WIDE", 16)
    with WinogradConvolutions():
        narrow = layer(even)
    assert torch.equal(narrow, layer(even))


def test_float32_is_as_near_to_the_truth_as_pytorchs():
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False)
    images = torch.randn(4, 64, 16, 16)
    direct = layer(images)
    with WinogradConvolutions():
        ours = layer(images)
    truth = layer.double()(images.double())
    assert (ours - truth).abs().max() < 4 * (direct - truth).abs().max()
