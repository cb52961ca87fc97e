"""The single images of an image grid, as the engine lays them out."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tracking.events import CONFIG, GRID_PADDING

Sides: TypeAlias = tuple[int, int]
"""Height and width of the images of a grid, in pixels."""


IMAGE_SIZE = f"{CONFIG}/dataset/image_size"
"""The field of a run from which `image_sides` tells the size of its images."""


def image_sides(value: object) -> Sides | None:
    """Of one number for square images, or of height and width; None for anything else."""
    match value:
        case int(side):
            return side, side
        case [int(height), int(width)]:
            return height, width
        case _:
            return None


def split_grid(pixels: npt.NDArray[np.uint8], sides: Sides, count: int) -> npt.NDArray[np.uint8]:
    """Cut a grid into its images.

    Args:
        pixels: The grid, uint8 (H, W) or (H, W, C).
        sides: Height and width of one image, in pixels.
        count: Return at most the first `count` images, row by row.

    Returns:
        uint8 (N, height, width, C).
    """
    height, width = sides
    high, wide = height + GRID_PADDING, width + GRID_PADDING
    rows, columns = (
        (pixels.shape[0] - GRID_PADDING) // high,
        (pixels.shape[1] - GRID_PADDING) // wide,
    )
    inner = pixels[GRID_PADDING:, GRID_PADDING:][: rows * high, : columns * wide]
    cells = inner.reshape(rows, high, columns, wide, -1)[:, :height, :, :width]
    images = cells.transpose(0, 2, 1, 3, 4).reshape(rows * columns, height, width, -1)
    return images[:count]


def variation(images: npt.NDArray[np.uint8]) -> float:
    """How much images differ: the standard deviation over them, averaged over pixels and channels.

    images: uint8 (N, H, W, C). Returns 0 to 127.5; 0 if all are the same.
    """
    return float(images.std(axis=0, dtype=np.float32).mean())
