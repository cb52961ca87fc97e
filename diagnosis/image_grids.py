"""The single images of an image grid, and how its fakes differ from each other and from real ones.

A grid is laid out as the engine does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tracking.events import CONFIG, GRID_PADDING

MAX_IMAGES = 64
"""Images of a grid that are looked at; more would take longer than the steps of a block."""

_FINE = 0.25
"""Cycles per pixel above which a frequency is fine: half of what pixels can show."""

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]

Sides: TypeAlias = tuple[int, int]
"""Height and width of the images of a grid, in pixels."""


IMAGE_SIZE = f"{CONFIG}/dataset/image_size"
"""The field of a run that `image_sides` reads the size of its images from."""

DATASET_SIZE = f"{CONFIG}/dataset/size"
"""The field of a run that `count_real` reads the number of its images from."""


def image_sides(value: object) -> Sides | None:
    """Height and width from one number for square images, or from both; None for other values."""
    match value:
        case int(side):
            return side, side
        case [int(height), int(width)]:
            return height, width
        case _:
            return None


def split_grid(pixels: Pixels, sides: Sides, count: int) -> Pixels:
    """Cut a grid into its images.

    Args:
        pixels: The grid, uint8 (H, W) or (H, W, C).
        sides: Height and width of one image, in pixels.
        count: Return at most the first `count` images, row by row.

    Returns:
        uint8 (N, height, width, C); none if the picture is smaller than an image.
    """
    height, width = sides
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if pixels.shape[:2] == sides:  # a single image has no lines around it
        return pixels.reshape(1, height, width, channels)
    high, wide = height + GRID_PADDING, width + GRID_PADDING
    rows, columns = (
        (pixels.shape[0] - GRID_PADDING) // high,
        (pixels.shape[1] - GRID_PADDING) // wide,
    )
    inner = pixels[GRID_PADDING:, GRID_PADDING:][: rows * high, : columns * wide]
    cells = inner.reshape(rows, high, columns, wide, channels)[:, :height, :, :width]
    images = cells.transpose(0, 2, 1, 3, 4).reshape(rows * columns, height, width, channels)
    return images[:count]


def count_real(count: int, size: object) -> int:
    """How many images a grid of real ones holds: fewer than others if the data set is smaller.

    Its last cells are then black, and would count as images.

    Args:
        count: Images of the run's other grids.
        size: What the run recorded as the size of its data set.
    """
    return min(count, size) if isinstance(size, int) else count


def variation(images: Pixels) -> float:
    """How much images differ: the standard deviation over them, averaged over pixels and channels.

    images: uint8 (N, H, W, C). Returns 0 to 127.5; 0 if all are the same.
    """
    return float(images.std(axis=0, dtype=np.float32).mean())


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """What the rules need of some images.

    Attributes:
        variation: As `variation` returns it.
        nearest: The median distance of an image to the one that is most like it.
        vectors: The images, (N, D), values 0 to 255.
        images: uint8 (N, H, W, C).
    """

    variation: float
    nearest: float
    vectors: Vectors
    images: Pixels

    @cached_property
    def fineness(self) -> float:
        """The share of fine detail in the power spectrum, without the mean, 0 to 1.

        That of white noise is 0.8 and that of photographs below 0.1 (Torralba and Oliva 2003). NaN
        for images of one colour.
        """
        return _fineness(self.images)


def image_statistics(images: Pixels) -> ImageStatistics:
    """Measure images, uint8 (N, H, W, C), of which the first `MAX_IMAGES` are looked at."""
    images = images[:MAX_IMAGES]
    vectors = images.reshape(len(images), -1).astype(np.float32)
    distances = pairwise_distances(vectors, vectors)
    np.fill_diagonal(distances, np.inf)
    nearest = float(np.median(distances.min(axis=1))) if len(images) > 1 else np.nan
    return ImageStatistics(variation(images), nearest, vectors, images)


def pairwise_distances(one: Vectors, other: Vectors) -> Vectors:
    """Euclidean distances between two sets of vectors, (N, D) and (M, D): (N, M)."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    distances: Vectors = np.sqrt(np.maximum(squares, 0))
    return distances


def _fineness(images: Pixels) -> float:
    channels = images.shape[3]
    # A product of matrices takes a tenth of the time of a mean over the last axis.
    grey = images.astype(np.float32) @ np.full(channels, 1 / channels, np.float32)
    power = np.abs(np.fft.rfft2(grey)) ** 2
    height, width = grey.shape[1:]
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    # All columns but the first and the last stand for two frequencies.
    weights = np.where((columns > 0) & (columns < 0.5), 2.0, 1.0) * np.ones_like(rows)
    weights[0, 0] = 0
    weighted = power.sum(axis=0) * weights
    total = float(weighted.sum())
    # The rounding of one grey level over all pixels is no detail.
    if total <= len(images) * (height * width) ** 2 * 1e-4:
        return float("nan")
    return float(weighted[np.hypot(rows, columns) > _FINE].sum() / total)


@dataclass(frozen=True)
class GridReading:
    """A grid of fakes beside the grid of real images.

    Attributes:
        step: Of the grid.
        variation: Relative to that of the real images, about 1 if as varied.
        nearest: Likewise, of the median distance to the most similar image.
        fineness: The share of fine detail, 0 to 1; NaN for images of one colour.
        real_fineness: Of the real images.
        copies: The median distance of a fake to the most similar real image, relative to that
            between two real ones.
    """

    step: int
    variation: float
    nearest: float
    fineness: float
    real_fineness: float
    copies: float


def read_grid(
    step: int, fakes: ImageStatistics, real: ImageStatistics, *, with_spectrum: bool = True
) -> GridReading | None:
    """Compare fakes with real images.

    Args:
        step: Of the grid.
        fakes: Its images.
        real: The grid of real images.
        with_spectrum: Whether to look for fine detail, which takes the longest.

    Returns:
        None if the real images do not vary.
    """
    if not real.variation or not real.nearest:
        return None
    to_real = pairwise_distances(fakes.vectors, real.vectors).min(axis=1)
    return GridReading(
        step=step,
        variation=fakes.variation / real.variation,
        nearest=fakes.nearest / real.nearest,
        fineness=fakes.fineness if with_spectrum else float("nan"),
        real_fineness=real.fineness if with_spectrum else float("nan"),
        copies=float(np.median(to_real)) / real.nearest,
    )
