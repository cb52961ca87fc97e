"""The single images in a grid, as the engine lays them out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracking.events import GRID_PADDING


def split_grid(pixels: npt.NDArray[np.uint8], image_size: int, count: int) -> npt.NDArray[np.uint8]:
    """Cut a grid into its images.

    Args:
        pixels: The grid, uint8 (H, W) or (H, W, C).
        image_size: Pixels along a side of one image.
        count: Images wanted, row by row; all of them if the grid has fewer.

    Returns:
        uint8 (N, H, W, C).
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
    """How much images differ: their standard deviation per pixel and channel, averaged over both.

    images: uint8 (N, H, W, C). Returns 0 (all the same) to 127.5.
    """
    return float(images.std(axis=0, dtype=np.float32).mean())
