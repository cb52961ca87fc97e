"""Images that can be compared with others: of a folder, of a data set, or drawn by a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcgan.config.dataset import EMBEDDED, Dataset
from dcgan.config.image_size import size_in_words
from dcgan.data.decoding import UNREADABLE, read_image
from dcgan.data.image_set import DataError, ImageSet
from dcgan.data.loading import load_images
from dcgan.data.sources.image_folder import collect_folder
from dcgan.evaluation.evaluator import shuffled_indices
from dcgan.evaluation.features.feature_cache import cached_computation, cached_features
from dcgan.evaluation.features.feature_space import FeatureSpace
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.sampling import draw_pixels
from tracking.wording import plural

FAKES = 10_000
"""The default number of fakes to draw from a run."""

FORMS: dict[str, tuple[int, int]] = {
    "digits": (32, 1),
    "sky": (64, 3),
    "mnist": (28, 1),
    "stacked-mnist": (28, 3),
    "fashion-mnist": (28, 1),
    "cifar10": (32, 3),
    "celeba": (64, 3),
}
"""Name of a data set -> default size and channels of its images."""

Features = Callable[[FeatureSpace, Callable[[int], None]], Tensor]
"""Maps a feature space and a callback that counts images to features (N, D)."""


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Images to compare.

    Attributes:
        description: The description of the images, for the reader.
        count: Number of images, N.
        sizes: Their heights and widths, in pixels.
        features: Computes their features.
    """

    description: str
    count: int
    sizes: frozenset[tuple[int, int]]
    features: Features


def run_source(run: TrainedRun, samples: int | None) -> ImageSource:
    """Fakes of a run: the same that `dcgan evaluate` draws first.

    Args:
        run: The run at one of its checkpoints.
        samples: How many; None for `FAKES`.
    """
    count, sides = samples or FAKES, run.config.dataset.sides

    def features(space: FeatureSpace, count_images: Callable[[int], None]) -> Tensor:
        fakes = draw_pixels(run.generator(), run.config.network, run.device, count, seed=0)
        return space.features(fakes, count_images)

    description = (
        f"{plural(count, 'fake')} of the run {run.folder.name} at step {run.step:,}, "
        f"{size_in_words(sides)}"
    )
    return ImageSource(description, count, frozenset({sides}), features)


def dataset_source(dataset: Dataset, samples: int | None, *, download: bool = False) -> ImageSource:
    """Images of a data set, or of a folder in one form.

    Args:
        dataset: Which, and the size and the channels that they are converted to.
        samples: How many, chosen at random; None for all.
        download: Whether torchvision may download missing files.

    Raises:
        DataError: They cannot be loaded.
    """
    images = load_images(dataset, download=download)
    count = min(samples or len(images.pixels), len(images.pixels))
    height, width = images.pixels.shape[2:]
    name = images.card.path if dataset.name == "folder" else dataset.name
    split = "" if dataset.name in ("folder", *EMBEDDED) else f" ({dataset.split})"
    return ImageSource(
        f"{plural(count, 'image')} of {name}{split}, {width}x{height}",
        count,
        frozenset({(height, width)}),
        partial(_features_of_set, images, count),
    )


def folder_source(folder: Path, samples: int | None) -> ImageSource:
    """All images in a folder, each in its own size.

    Args:
        folder: The folder; images may lie in subfolders.
        samples: How many, chosen at random; None for all.

    Raises:
        DataError: There are none, or one of them is not readable.
    """
    collection = collect_folder(folder)
    names = collection.names
    count = min(samples or len(names), len(names))
    chosen = [
        folder / names[position] for position in shuffled_indices(len(names))[:count].tolist()
    ]
    sizes = frozenset(_size(file) for file in chosen)

    def features(space: FeatureSpace, count_images: Callable[[int], None]) -> Tensor:
        compute = partial(_features_of_files, chosen, space, count_images)
        return cached_computation(space, count, compute, collection.content(), "shuffled")

    each = ""
    if len(sizes) == 1:
        ((height, width),) = sizes
        each = f", {width}x{height}"
    description = f"{plural(count, 'image')} of {collection.path}{each}"
    return ImageSource(description, count, sizes, features)


def _features_of_set(
    images: ImageSet, count: int, space: FeatureSpace, count_images: Callable[[int], None]
) -> Tensor:
    pixels, fingerprint = images.pixels, images.card.fingerprint
    chosen = pixels[shuffled_indices(len(pixels))[:count]]
    return cached_features(space, chosen, fingerprint, "shuffled", count_images)


def _features_of_files(
    files: Sequence[Path], space: FeatureSpace, count_images: Callable[[int], None], start: int
) -> Tensor:
    """Features of files from a position on, in their order, with one batch in memory at a time."""
    parts = []
    for first in range(start, len(files), space.batch):
        pictures = [_pixels(file) for file in files[first : first + space.batch]]
        for _, group in groupby(pictures, key=lambda pixels: pixels.shape):
            parts.append(space.features(torch.stack(list(group)), count_images))
    return torch.cat(parts)


def _pixels(file: Path) -> Tensor:
    """An image as uint8 (3, H, W); raises DataError if it cannot be read."""
    try:
        array = np.array(read_image(file).convert("RGB"))
    except UNREADABLE as error:
        raise _unreadable(file, error) from error
    return torch.from_numpy(array).permute(2, 0, 1)


def _size(file: Path) -> tuple[int, int]:
    """Height and width, by the file's header; raises DataError if it cannot be read."""
    import PIL.Image

    try:
        with PIL.Image.open(file) as image:
            return image.height, image.width
    except UNREADABLE as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> DataError:
    reason = str(error).removesuffix(f" {str(file)!r}")  # which Pillow repeats
    return DataError(f"{file} is not a readable image: {reason}. Repair it, or remove it.")
