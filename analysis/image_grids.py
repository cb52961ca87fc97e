"""The single images of an image grid, as the engine lays them out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracking.events import GRID_PADDING


def split_grid(pixels: npt.NDArray[np.uint8], image_size: int, count: int) -> npt.NDArray[np.uint8]:
    """Cut a grid into its images.

    Args:
        pixels: The grid, uint8 (H, W) or (H, W, C).
        image_size: Pixels along a side of one image.
        count: Return at most the first `count` images, row by row.

    Returns:
        uint8 (N, image_size, image_size, C).
    """
    cell = image_size + GRID_PADDING
    rows, columns = ((edge - GRID_PADDING) // cell for edge in pixels.shape[:2])
    inner = pixels[
        GRID_PADDING : GRID_PADDING + rows * cell, GRID_PADDING : GRID_PADDING + columns * cell
    ]
    cells = inner.reshape(rows, cell, columns, cell, -1)[:, :image_size, :, :image_size]
    images = cells.transpose(0, 2, 1, 3, 4).reshape(rows * columns, image_size, image_size, -1)
    return images[:count]


def variation(images: npt.NDArray[np.uint8]) -> float:
    """How much images differ: the standard deviation over them, averaged over pixels and channels.

    images: uint8 (N, H, W, C). Returns 0 to 127.5; 0 if all are the same.
    """
    return float(images.std(axis=0, dtype=np.float32).mean())
