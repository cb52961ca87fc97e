"""The convolutions of a training step on the CPU, each by the fastest method for its shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from dcgan.cpu.winograd import convolve, convolve_transposed
from dcgan.pixel_products import flatten_map, map_from_pixel

WIDE = 128 * 256
"""Input channels times output channels from which Winograd's algorithm pays. Measured against
PyTorch on four Intel Xeon cores, celeba's layer of 256 x 512 channels took 0.6 times as long,
that of 128 x 256 0.95 times, and 64 x 128 1.5 times; on two AMD EPYC cores 0.9, 0.95 and 1.3."""


class FastConvolutions(TorchFunctionMode):
    """Context in which two kinds of 2-D convolutions on the CPU bypass PyTorch's own kernels.

    Convolutions between a whole map and a single pixel, a DCGAN's first and last layer, become
    one matrix product. Wide 4x4 convolutions of stride 2 use Winograd's algorithm, in float32
    and float64 without autocast. Both work plain and transposed, with derivatives of any order;
    layers with a bias are left to PyTorch.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        arguments: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        result = None
        if function is torch.conv2d and not options:
            result = _convolution(*arguments)
        elif function is torch.conv_transpose2d and not options:
            result = _transposed_convolution(*arguments)
        return function(*arguments, **(options or {})) if result is None else result


def with_fast_convolutions(network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """network(inputs) with these convolutions."""
    with FastConvolutions():
        return network(inputs)


# Both have the parameters of `torch.conv2d` and `torch.conv_transpose2d`, in the same order.


def _convolution(
    images: Tensor,
    filters: Tensor,
    bias: Tensor | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> Tensor | None:
    """The result of conv2d; None if PyTorch is to compute it."""
    if bias is not None or dilation != (1, 1) or groups != 1 or not _is_cpu_batch(images):
        return None
    if images.shape[2:] == filters.shape[2:] and padding == (0, 0):
        return (flatten_map(images) @ flatten_map(filters).t())[:, :, None, None]
    height, width = images.shape[2:]
    if height % 4 == width % 4 == 0 and _winograd_pays(images, filters, stride, padding):
        return convolve(images, filters)
    return None


def _transposed_convolution(
    maps: Tensor,
    filters: Tensor,
    bias: Tensor | None = None,
    stride: object = 1,
    padding: object = 0,
    output_padding: object = 0,
    groups: int = 1,
    dilation: object = 1,
) -> Tensor | None:
    """The result of conv_transpose2d; None if PyTorch is to compute it."""
    plain = output_padding == (0, 0) and dilation == (1, 1) and groups == 1
    if bias is not None or not plain or not _is_cpu_batch(maps):
        return None
    height, width = maps.shape[2:]
    if height == width == 1 and padding == (0, 0):
        return map_from_pixel(maps, filters)
    if height % 2 == width % 2 == 0 and _winograd_pays(maps, filters, stride, padding):
        return convolve_transposed(maps, filters)
    return None


def _is_cpu_batch(images: Tensor) -> bool:
    return images.dim() == 4 and images.device.type == "cpu"


def _winograd_pays(images: Tensor, filters: Tensor, stride: object, padding: object) -> bool:
    channels, other_channels, *size = filters.shape
    return (
        (size, stride, padding) == ([4, 4], (2, 2), (1, 1))
        and channels * other_channels >= WIDE
        and images.dtype == filters.dtype
        and images.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )
