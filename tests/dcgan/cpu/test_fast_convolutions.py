"""The CPU's fast convolutions against PyTorch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcgan.cpu import fast_convolutions as convolutions
from dcgan.cpu.fast_convolutions import FastConvolutions

WINOGRAD = {"stride": 2, "padding": 1}
WHOLE_MAP = {"stride": 1, "padding": 0}
LAYERS = [
    (nn.Conv2d, (4, 8), WINOGRAD),
    (nn.Conv2d, (12, 16), WINOGRAD),
    (nn.ConvTranspose2d, (2, 6), WINOGRAD),
    (nn.Conv2d, (4, 4), WHOLE_MAP),
    (nn.ConvTranspose2d, (1, 1), WHOLE_MAP),
]


@pytest.fixture(autouse=True)
def every_layer_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolutions, "WIDE", 1)


def layer_and_images(kind: Any, size: tuple[int, int], steps: Any) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layer = kind(3, 5, 4, bias=False, **steps).double()
    return layer, torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)


def done_by_pytorch(maps: Tensor) -> bool:
    assert maps.grad_fn is not None
    return maps.grad_fn.name() == "ConvolutionBackward0"


@pytest.mark.parametrize(("kind", "size", "steps"), LAYERS)
def test_it_is_the_same_convolution_with_the_same_gradients(
    kind: Any, size: tuple[int, int], steps: Any
):
    layer, images = layer_and_images(kind, size, steps)
    expected = layer(images)
    weights = torch.randn_like(expected)
    with FastConvolutions():
        maps = layer(images)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert not done_by_pytorch(maps)
    torch.testing.assert_close(maps, expected, rtol=1e-12, atol=1e-12)
    inputs = (images, layer.weight)
    torch.testing.assert_close(
        torch.autograd.grad(maps, inputs, weights),
        torch.autograd.grad(expected, inputs, weights),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize(("kind", "size", "steps"), LAYERS)
def test_gradients_of_gradients_are_right(kind: Any, size: tuple[int, int], steps: Any):
    layer, images = layer_and_images(kind, size, steps)

    def convolve(images: Tensor, weight: Tensor) -> Tensor:
        with FastConvolutions():
            return torch.func.functional_call(layer, {"weight": weight}, images)

    small = images[:1].detach().requires_grad_()
    assert torch.autograd.gradgradcheck(convolve, (small, layer.weight), fast_mode=True)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 5, 4, stride=2, padding=1),
        nn.Conv2d(3, 5, 4, stride=1, padding=0, bias=False),
        nn.Conv2d(3, 5, 16),
        nn.Conv2d(3, 5, 16, padding=1, bias=False),
        nn.Conv2d(3, 5, 5, stride=2, padding=2, bias=False),
        nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1),
        nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1, output_padding=1, bias=False),
        nn.Linear(16, 2),
    ],
)
def test_other_layers_are_left_to_pytorch(layer: nn.Module):
    images = torch.randn(2, 3, 16, 16)
    with FastConvolutions():
        ours = layer(images)
    assert torch.equal(ours, layer(images))


@pytest.mark.parametrize(("kind", "size"), [(nn.Conv2d, 4), (nn.ConvTranspose2d, 1)])
def test_whole_maps_are_one_product_in_bfloat16_too(kind: Any, size: int):
    layer = kind(8, 5, 4, bias=False)
    images = torch.randn(2, 8, size, size)
    with FastConvolutions(), torch.autocast("cpu", torch.bfloat16):
        ours = layer(images)
    with torch.autocast("cpu", torch.bfloat16):
        expected = layer(images)
    assert not done_by_pytorch(ours)
    assert ours.dtype == expected.dtype == torch.bfloat16
    rounded = layer.to(torch.bfloat16).double()
    truth = rounded(images.to(torch.bfloat16).double())
    for maps in (ours, expected):
        torch.testing.assert_close(maps.double(), truth, rtol=2**-7, atol=2**-7)


def test_narrow_layers_odd_sizes_and_bfloat16_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch):
    layer = nn.Conv2d(3, 5, 4, stride=2, padding=1, bias=False)
    odd, even = torch.randn(2, 3, 14, 14), torch.randn(2, 3, 16, 16)
    with FastConvolutions():
        assert torch.equal(layer(odd), nn.functional.conv2d(odd, layer.weight, None, 2, 1))
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(even).dtype == torch.bfloat16
    monkeypatch.setattr(convolutions, "WIDE", 16)
    with FastConvolutions():
        narrow = layer(even)
    assert torch.equal(narrow, layer(even))


def test_float32_is_as_near_to_the_truth_as_pytorchs():
    """PyTorch's own kernels are 0.5 to 2 roundings of a sum's products away, by the CPU."""
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False)
    images = torch.randn(4, 64, 16, 16)
    with FastConvolutions():
        ours = layer(images)
    layer, images = layer.double(), images.double()
    products = nn.functional.conv2d(images.abs(), layer.weight.abs(), None, 2, 1)
    rounding = torch.finfo(torch.float32).eps * products.max()
    assert (ours - layer(images)).abs().max() < 2 * rounding


@pytest.mark.parametrize(("device", "bypasses"), [("cpu", True), ("meta", False)])
def test_other_devices_are_left_to_pytorch(device: str, bypasses: bool) -> None:
    images, pixels = torch.ones(2, 3, 4, 4, device=device), torch.ones(2, 3, 1, 1, device=device)
    filters = torch.ones(3, 3, 4, 4, device=device)
    found = (
        convolutions._convolution(images, filters, None, (1, 1), (0, 0), (1, 1), 1),
        convolutions._transposed_convolution(
            pixels, filters, None, (1, 1), (0, 0), (0, 0), 1, (1, 1)
        ),
    )
    assert [each is not None for each in found] == [bypasses] * 2
