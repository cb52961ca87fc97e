"""Chosen images of a run as one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from dcgan.data.progress import Progress, silent
from dcgan.samples.pixels import Images, Pixels, map_rendered
from tracking.atomic_files import atomic_write
from tracking.errors import UserError, not_written
from tracking.events import GRID_PADDING

_QUALITY = 95
"""Of formats that lose some."""

_LONGEST_EDGE = {"WEBP": 16_383, "JPEG": 65_535}
"""In pixels; other formats are limited by memory."""


class GridError(UserError):
    """A grid that is too large for a picture."""


def write_grid(
    images: Images,
    sides: tuple[int, int],
    output: Path,
    picture_format: str,
    *,
    columns: int | None = None,
    inverted: bool = False,
    progress: Progress = silent,
) -> None:
    """Write images as one picture.

    Args:
        images: Which images, row by row.
        sides: Height and width of each, in pixels.
        output: The file to write; complete or absent, even if the process dies. Its
            folder is made if it is missing.
        picture_format: Pillow's name of the format, such as `PNG`.
        columns: Images per row; if omitted, the grid is nearly square.
        inverted: Whether to show white as black, as in grids of runs with `images.inverted`.
        progress: As for `render_all`.

    Raises:
        GridError: The grid would be larger than the format or a picture's readers allow.
        GenerationError: Pixels are not finite.
        LatentsError: Latents cannot be read.
        StoreError: The file cannot be written.
    """
    columns = min(columns or round(images.count**0.5), images.count)
    _check_size(images.count, columns, sides, picture_format)
    grid = arrange(images, columns, inverted=inverted, progress=progress)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(output) as temporary:
            picture = PIL.Image.fromarray(grid[:, :, 0] if grid.shape[2] == 1 else grid)
            picture.save(temporary, format=picture_format, quality=_QUALITY)
    except OSError as error:
        raise not_written(output, error) from error


def arrange(
    images: Images, columns: int, *, inverted: bool = False, progress: Progress = silent
) -> Pixels:
    """Arrange images as one picture, row by row, in the layout of the grids of a training.

    Args:
        images: Which images.
        columns: Images per row.
        inverted: Whether to show white as black.
        progress: As for `render_all`.

    Returns:
        uint8 (H, W, C), black where there is no image.
    """
    rows = -(-images.count // columns)
    grid: Pixels = np.zeros((0, 0, 0), np.uint8)

    def place(start: int, pixels: Pixels) -> tuple[int, Pixels]:
        return start, 255 - pixels if inverted else pixels

    for start, pixels in map_rendered(images, place, progress):
        height, width, channels = pixels.shape[1:]
        if not grid.size:
            grid = np.zeros((*_grid_size(rows, columns, height, width), channels), np.uint8)
        for index, image in enumerate(pixels, start):
            row, column = divmod(index, columns)
            top = GRID_PADDING + row * (height + GRID_PADDING)
            left = GRID_PADDING + column * (width + GRID_PADDING)
            grid[top : top + height, left : left + width] = image
    return grid


def _grid_size(rows: int, columns: int, height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels of a grid of images of a height and a width."""
    return (
        rows * (height + GRID_PADDING) + GRID_PADDING,
        columns * (width + GRID_PADDING) + GRID_PADDING,
    )


def _check_size(count: int, columns: int, sides: tuple[int, int], picture_format: str) -> None:
    height, width = _grid_size(-(-count // columns), columns, *sides)
    pixels = PIL.Image.MAX_IMAGE_PIXELS or height * width
    edge = _LONGEST_EDGE.get(picture_format, max(height, width))
    if height * width > pixels or max(height, width) > edge:
        limit = f"{pixels:,} pixels" if height * width > pixels else f"{edge:,} pixels per edge"
        raise GridError(
            f"A grid of {count:,} images in {columns:,} columns would have {width:,} x {height:,} "
            f"pixels; {picture_format} and its readers take at most {limit}.\nChoose fewer images "
            "with -n, or write them one by one: -o folder/, samples.zip or samples.npz."
        )
