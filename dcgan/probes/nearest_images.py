"""Fakes beside the training images that are nearest to them: is anything copied?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.data.decoding import pixels_digest
from dcgan.evaluation.features.feature_space import FeatureSpace, own_space
from dcgan.evaluation.metrics.nearest_neighbours import check_enough, nearest
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.sampling import draw_pixels

_TYPICAL = 1_000
"""How many training images, evenly spread, are compared with all others at most."""

_BLOCK = 4_096
"""Training images of which pixels are held as floats at a time."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Fakes and their nearest training images, in each space.

    Attributes:
        fakes: uint8 (N, C, H, W).
        nearest: Space -> training images, uint8 (N, k, C, H, W), the nearest first.
        distances: Space -> distances to them, (N, k), increasing.
        typical: Space -> the median distance of a training image to the nearest other one that is
            not a copy of it; absent if there is none.
    """

    fakes: Tensor
    nearest: dict[str, Tensor]
    distances: dict[str, Tensor]
    typical: dict[str, float]

    @property
    def distance_ratios(self) -> dict[str, float]:
        """Space -> the median distance of fakes to their nearest, over the typical one.

        Near 0 the fakes are copies. NaN if the training images do not differ.
        """
        return {
            space: distances[:, 0].median().item() / (self.typical.get(space) or math.nan)
            for space, distances in self.distances.items()
        }


def find_copies(
    run: TrainedRun, fakes: int, count: int, seed: int
) -> tuple[Neighbours, FeatureSpace]:
    """Compare fakes of a run with its training images, by features and by pixels.

    Args:
        run: The run, with its networks on the CPU.
        fakes: How many fakes to draw.
        count: Training images per fake.
        seed: The seed of the latents.

    Returns:
        The neighbours in the spaces `features` and `pixels`, and the feature space.

    Raises:
        StoreError: The run's images have changed since it was trained.
        DataError: The run's images cannot be loaded.
        EvaluationError: There are fewer than `count` training images.
    """
    images, cpu = run.images(), torch.device("cpu")
    space = own_space(images, cpu)
    pixels = draw_pixels(run.generator(), run.config.network, cpu, fakes, seed)
    neighbours = nearest_training_images(pixels, images.pixels, space.features, "features", count)
    return neighbours, space


def nearest_training_images(
    fakes: Tensor, train: Tensor, features: Callable[[Tensor], Tensor], name: str, count: int = 5
) -> Neighbours:
    """Find the nearest training images of each fake by features and by pixels.

    Args:
        fakes: uint8 (N, C, H, W).
        train: The training images, uint8 (M, C, H, W).
        features: Maps uint8 images (n, C, H, W) to features (n, D).
        name: What to call the space of these features.
        count: Training images per fake.

    Returns:
        The neighbours in the spaces `name` and `pixels`.
    """
    nearest_images: dict[str, Tensor] = {}
    distances: dict[str, Tensor] = {}
    typical: dict[str, float] = {}
    every, different = torch.arange(len(train)), _different(train)
    # The nearest point to a training image is itself, and copies would make the distance 0.
    sample = different[:: -(-len(different) // _TYPICAL)]
    for space, points, queries in (
        (name, features(train), features(fakes)),
        ("pixels", train.flatten(1), fakes.flatten(1)),
    ):
        distances[space], indices = _nearest_among(points, every, queries, count)
        nearest_images[space] = train[indices.flatten()].unflatten(0, indices.shape)
        if len(different) > 1:
            to_others, _ = _nearest_among(points, different, points[sample], 2)
            typical[space] = to_others[:, 1].median().item()
    return Neighbours(fakes, nearest_images, distances, typical)


def _nearest_among(
    points: Tensor, chosen: Tensor, queries: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """As `nearest`, with few points in memory as floats at a time.

    Args:
        points: Features or pixels, (M, D), of any type.
        chosen: Indices of the points to search.
        queries: (N, D).
        count: Points per query.

    Returns:
        Increasing distances, and indices into `points`, (N, count) each.
    """
    check_enough(len(chosen), count)
    parts = []
    for block in chosen.split(_BLOCK):
        found, positions = nearest(queries.float(), points[block].float(), min(count, len(block)))
        parts.append((found, block[positions]))
    distances, indices = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
    best = distances.topk(count, largest=False)
    return best.values, indices.gather(1, best.indices)


def _different(images: Tensor) -> Tensor:
    """The indices of images (N, C, H, W) without those that are copies of an earlier one."""
    first: dict[str, int] = {}
    for index, image in enumerate(images):
        first.setdefault(pixels_digest(image.contiguous().numpy().data), index)
    return torch.tensor(list(first.values()))
