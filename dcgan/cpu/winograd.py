"""4x4 convolutions of stride 2 by Winograd's minimal filtering: 9 multiplications in place of 16.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (CVPR 2016), section 4, as
F(2x2, 2x2): a 4x4 filter of stride 2 is a 2x2 filter of stride 1 on the four images formed by
the even and odd rows and columns. The sum is the same in another order: all factors of the
transforms are 0, 1 and -1. What remains is nine matrix products, which CPUs do fastest; the
transforms pass over memory a few times, so only wide layers gain.

Public functions take and return tensors in PyTorch's shapes. Inside, images are (N, H, W, C)
with H and W multiples of 4, filters (O, 4, 4, C) and maps (N, H/2, W/2, O), all contiguous.
A tile is 4x4 pixels, which together with their neighbours yield 2x2 pixels of the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def convolve(images: Tensor, filters: Tensor) -> Tensor:
    """conv2d(images, filters, stride=2, padding=1) for 4x4 filters, differentiable.

    Args:
        images: (N, C, H, W), H and W multiples of 4, on the CPU.
        filters: (O, C, 4, 4), of the same dtype, on the CPU.

    Returns:
        (N, O, H/2, W/2), channels last.
    """
    maps: Tensor = _Convolution.apply(images, filters)
    return maps


def convolve_transposed(maps: Tensor, filters: Tensor) -> Tensor:
    """conv_transpose2d(maps, filters, stride=2, padding=1) for 4x4 filters, differentiable.

    Args:
        maps: (N, O, H, W), H and W even, on the CPU.
        filters: (O, C, 4, 4), of the same dtype, on the CPU.

    Returns:
        (N, C, 2H, 2W), channels last.
    """
    images: Tensor = _Transposed.apply(maps, filters)
    return images


def _as_rows(images: Tensor) -> Tensor:
    """(N, C, H, W) as contiguous (N, H, W, C); a view if the input is channels last."""
    return images.permute(0, 2, 3, 1).contiguous()


def _channels_last(like: Tensor, count: int, height: int, width: int, depth: int) -> Tensor:
    """A new (count, depth, height, width). Not a view, because activations write in place."""
    shape = (count, depth, height, width)
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


class _Convolution(Function):
    """Images and filters to maps. Each of these three is a derivative of the other two."""

    @staticmethod
    def forward(context: Any, images: Tensor, filters: Tensor) -> Tensor:
        context.save_for_backward(images, filters)
        images, filters = _as_rows(images), _as_rows(filters)
        count, height, width, _ = images.shape
        factors = _transform_filters(filters)
        products = images.new_empty(3, 3, count * height * width // 16, len(filters))
        for row, tiles in enumerate(_transform_images(images)):
            for column in range(3):
                torch.mm(tiles[column], factors[row, column].t(), out=products[row, column])
        maps = _channels_last(images, count, height // 2, width // 2, len(filters))
        _sum_products(products.view(3, 3, count, height // 4, width // 4, -1), _as_rows(maps))
        return maps

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, filters = context.saved_tensors
        wanted = context.needs_input_grad
        return (
            _Transposed.apply(gradient, filters) if wanted[0] else None,
            _Correlation.apply(images, gradient) if wanted[1] else None,
        )


class _Transposed(Function):
    """Maps and filters to images."""

    @staticmethod
    def forward(context: Any, maps: Tensor, filters: Tensor) -> Tensor:
        context.save_for_backward(maps, filters)
        maps, filters = _as_rows(maps), _as_rows(filters)
        count, height, width, _ = maps.shape
        down, across, depth = height // 2, width // 2, filters.shape[-1]
        factors = _transform_filters(filters)
        spread = _sum_products_transposed(maps).flatten(2, 4)
        rows = maps.new_empty(3, count, down, 2, 2 * width * depth)
        tiles = maps.new_empty(3, count, down, across, 2, 2, depth)
        for row in range(3):
            for column in range(3):
                out = tiles[column].view(-1, 4 * depth)
                torch.mm(spread[row, column], factors[row, column], out=out)
            _differences_transposed(
                tiles.transpose(3, 4), rows[row].view(count, down, 2, across, 4, depth)
            )
        images = _channels_last(maps, count, 2 * height, 2 * width, depth)
        lines = _as_rows(images).view(count, down, 4, 2 * width * depth)
        _differences_transposed(rows, lines)
        return images

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        maps, filters = context.saved_tensors
        wanted = context.needs_input_grad
        return (
            _Convolution.apply(gradient, filters) if wanted[0] else None,
            _Correlation.apply(gradient, maps) if wanted[1] else None,
        )


class _Correlation(Function):
    """Images and maps to filters."""

    @staticmethod
    def forward(context: Any, images: Tensor, maps: Tensor) -> Tensor:
        context.save_for_backward(images, maps)
        images, maps = _as_rows(images), _as_rows(maps)
        spread = _sum_products_transposed(maps).flatten(2, 4)
        factors = images.new_empty(3, 3, maps.shape[-1], 4 * images.shape[-1])
        for row, tiles in enumerate(_transform_images(images)):
            for column in range(3):
                torch.mm(spread[row, column].t(), tiles[column], out=factors[row, column])
        filters = _channels_last(images, maps.shape[-1], 4, 4, images.shape[-1])
        _transform_filters_transposed(factors, _as_rows(filters))
        return filters

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, maps = context.saved_tensors
        wanted = context.needs_input_grad
        return (
            _Transposed.apply(maps, gradient) if wanted[0] else None,
            _Convolution.apply(images, gradient) if wanted[1] else None,
        )


def _transform_images(images: Tensor) -> Iterator[Tensor]:
    """Yield (3, tiles, 4C) three times: the transformed tiles row by row, in reused memory.

    All nine at once would take 2.25 times the memory of the images, and overflow the cache.
    """
    count, height, width, depth = images.shape
    down, across = height // 4, width // 4
    rows = images.new_empty(3, count, down, 2, width * depth)
    _differences(images.view(count, down, 4, width * depth), rows)
    tiles = images.new_empty(3, count, down, across, 2, 2, depth)
    for row in rows:
        _differences(row.view(count, down, 2, across, 4, depth), tiles.transpose(3, 4))
        yield tiles.view(3, -1, 4 * depth)


def _differences(lines: Tensor, into: Tensor) -> None:
    """Transform tiles in one dimension: lines (..., tiles, 4, R) to (3, ..., tiles, 2, R).

    For a tile's lines a, b, c, d, with d' the last line of the tile before and a' the first of
    the tile after, both 0 at the border: (d' - b, a - c), (b, c), (d - b, a' - c).
    """
    a, b, c, d = lines.unbind(-2)
    first, middle, last = into
    torch.sub(d[..., :-1, :], b[..., 1:, :], out=first[..., 1:, 0, :])
    torch.neg(b[..., 0, :], out=first[..., 0, 0, :])
    torch.sub(a, c, out=first[..., 1, :])
    middle.copy_(lines[..., 1:3, :])
    torch.sub(d, b, out=last[..., 0, :])
    torch.sub(a[..., 1:, :], c[..., :-1, :], out=last[..., :-1, 1, :])
    torch.neg(c[..., -1, :], out=last[..., -1, 1, :])


def _differences_transposed(differences: Tensor, lines: Tensor) -> None:
    first, middle, last = differences
    a, _, _, d = lines.unbind(-2)
    torch.add(first[..., 1:, 1, :], last[..., :-1, 1, :], out=a[..., 1:, :])
    a[..., 0, :] = first[..., 0, 1, :]
    torch.sub(middle, first, out=lines[..., 1:3, :])
    lines[..., 1:3, :].sub_(last)
    torch.add(last[..., :-1, 0, :], first[..., 1:, 0, :], out=d[..., :-1, :])
    d[..., -1, :] = last[..., -1, 0, :]


def _sum_products(products: Tensor, maps: Tensor) -> None:
    """(3, 3, N, down, across, O) to maps: per dimension, the first two and the last two added."""
    count, down, across, depth = products.shape[2:]
    rows = products[:2] + products[1:]
    pixels = maps.view(count, down, 2, across, 2, depth).permute(2, 4, 0, 1, 3, 5)
    torch.add(rows[:, :2], rows[:, 1:], out=pixels)


def _sum_products_transposed(maps: Tensor) -> Tensor:
    count, height, width, depth = maps.shape
    down, across = height // 2, width // 2
    pixels = maps.view(count, down, 2, across, 2, depth).permute(2, 4, 0, 1, 3, 5)
    rows = maps.new_empty(2, 3, count, down, across, depth)
    _with_sum(pixels, rows, 1)
    products = maps.new_empty(3, 3, count, down, across, depth)
    _with_sum(rows, products, 0)
    return products


def _transform_filters(filters: Tensor) -> Tensor:
    """(O, 4, 4, C) to (3, 3, O, 4C)."""
    outputs, _, _, depth = filters.shape
    rows = filters.new_empty(outputs, 3, 2, 2, 2, depth)
    _with_sum(filters.view(outputs, 2, 2, 2, 2, depth), rows, 1)
    factors = filters.new_empty(3, 3, outputs, 2, 2, depth)
    _with_sum(rows.permute(1, 3, 0, 2, 4, 5), factors, 1)
    return factors.view(3, 3, outputs, 4 * depth)


def _transform_filters_transposed(factors: Tensor, filters: Tensor) -> None:
    outputs, depth = factors.shape[2], factors.shape[3] // 4
    factors = factors.view(3, 3, outputs, 2, 2, depth)
    rows = factors[:, :2] + factors[:, 1:]
    pairs = filters.view(outputs, 2, 2, 2, 2, depth).permute(1, 3, 0, 2, 4, 5)
    torch.add(rows[:2], rows[1:], out=pairs)


def _with_sum(pair: Tensor, into: Tensor, dimension: int) -> None:
    """Write the first of two along a dimension, their sum, and the second to `into`."""
    first, second = pair.unbind(dimension)
    outs = into.unbind(dimension)
    outs[0].copy_(first)
    torch.add(first, second, out=outs[1])
    outs[2].copy_(second)
