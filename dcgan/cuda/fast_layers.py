"""The layers of a network on CUDA, each in a form for which cuDNN has a fast kernel.

A DCGAN is unusual at both of its ends. Next to the image there are three channels, or one, where
tensor cores need at least eight; next to the latents, and at D's logits, a filter is as large as
the map. Both are computed in another form, which gives the same numbers but for rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear, pad
from torch.nn.modules.batchnorm import _BatchNorm

from dcgan.pixel_products import flatten_map, map_from_pixel

_FEW = 8
"""Fewer channels than these are next to the image. Of an even number of them, space to depth makes
a multiple of eight, so an odd number gets one more channel, of zeros."""


class FastLayers(nn.Module):
    """A network with the same weights, computed faster on CUDA.

    Args:
        network: Shared with the caller. Layers that are in no `nn.Sequential` are called as they
            are.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, maps: Tensor, parts: int = 1) -> Tensor:
        """The network's output.

        Args:
            maps: The network's input, (N, ...).
            parts: The number of equal parts in which batch norm sees the batch, as if each were
                a batch of its own. All other layers see them together, which takes
                fewer kernels.
        """
        return _apply(self._network, maps, parts)


def _apply(layer: nn.Module, maps: Tensor, parts: int) -> Tensor:
    if isinstance(layer, nn.Sequential):
        for each in layer:  # `children` would leave out a layer that comes again
            maps = _apply(each, maps, parts)
        return maps
    if isinstance(layer, nn.Conv2d):
        return convolve(layer, maps)
    if isinstance(layer, nn.ConvTranspose2d):
        return convolve_transposed(layer, maps)
    if parts > 1 and any(isinstance(each, _BatchNorm) for each in layer.modules()):
        return torch.cat([layer(part) for part in maps.chunk(parts)])
    output: Tensor = layer(maps)
    return output


def convolve(layer: nn.Conv2d, images: Tensor) -> Tensor:
    """layer(images), (N, C, H, W) to (N, channels, ...)."""
    if images.shape[2:] == layer.kernel_size and layer.padding == (0, 0):
        logits = linear(flatten_map(images), flatten_map(layer.weight), layer.bias)
        return logits[:, :, None, None]
    height, width = images.shape[2:]
    if _halves_images(layer, layer.in_channels) and height % 2 == width % 2 == 0:
        odd = layer.in_channels % 2
        filters = _space_to_depth(pad(layer.weight, (0, 0, 0, 0, 0, odd)))
        return conv2d(_space_to_depth(pad(images, (1, 1, 1, 1, 0, odd))), filters, layer.bias)
    output: Tensor = layer(images)
    return output


def convolve_transposed(layer: nn.ConvTranspose2d, maps: Tensor) -> Tensor:
    """layer(maps), (N, C, H, W) to (N, channels, ...)."""
    plain = not any(layer.output_padding)
    if plain and maps.shape[2:] == (1, 1) and layer.padding == (0, 0):
        return _add_bias(map_from_pixel(maps, layer.weight), layer)
    if plain and _halves_images(layer, layer.out_channels):
        odd = layer.out_channels % 2
        filters = _space_to_depth(pad(layer.weight, (0, 0, 0, 0, 0, odd)))
        images = _depth_to_space(conv_transpose2d(maps, filters))
        return _add_bias(images[:, : layer.out_channels, 1:-1, 1:-1], layer)
    output: Tensor = layer(maps)
    return output


def _halves_images(layer: nn.Conv2d | nn.ConvTranspose2d, channels: int) -> bool:
    """Whether a layer of few channels next to the image halves its sides, or doubles them."""
    return channels < _FEW and (layer.kernel_size, layer.stride, layer.padding) == (
        (4, 4),
        (2, 2),
        (1, 1),
    )


def _add_bias(images: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    return images if layer.bias is None else images + layer.bias[:, None, None]


def _space_to_depth(images: Tensor) -> Tensor:
    """(N, C, 2H, 2W) to (N, 4C, H, W): squares of 2x2 pixels as channels.

    A convolution of stride 2 becomes one of stride 1, with filters of half the size. In
    channels-last memory this is one copy; `pixel_unshuffle` would copy to contiguous memory.
    """
    count, channels, height, width = images.shape
    squares = images.permute(0, 2, 3, 1).reshape(count, height // 2, 2, width // 2, 2, channels)
    return squares.transpose(2, 3).flatten(3).permute(0, 3, 1, 2)


def _depth_to_space(maps: Tensor) -> Tensor:
    """(N, 4C, H, W) to (N, C, 2H, 2W), the inverse of `_space_to_depth`."""
    count, depth, height, width = maps.shape
    squares = maps.permute(0, 2, 3, 1).reshape(count, height, width, 2, 2, depth // 4)
    return squares.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
