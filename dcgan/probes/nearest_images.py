"""Fakes beside the training images that are nearest to them: is anything copied?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from dcgan.evaluation.metrics.nearest_neighbours import nearest

_TYPICAL = 1_000
"""Training images, evenly spread, whose own distances are measured at most."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """fakes: uint8 (N, C, H, W). nearest: for each space uint8 (N, k, C, H, W).

    distances: for each space (N, k), increasing. typical: the median distance of the training
    images themselves to their nearest, in each space.
    """

    fakes: Tensor
    nearest: dict[str, Tensor]
    distances: dict[str, Tensor]
    typical: dict[str, float]


def nearest_training_images(
    fakes: Tensor, train: Tensor, features: Callable[[Tensor], Tensor], name: str, count: int = 5
) -> Neighbours:
    """The `count` nearest of each fake by features and by pixels.

    fakes, train: uint8 (N, C, H, W). features: of uint8 images, (N, D). name: of that space.
    """
    spaces = {name: features, "pixels": lambda images: images.flatten(1).float()}
    found: dict[str, Tensor] = {}
    distances: dict[str, Tensor] = {}
    typical: dict[str, float] = {}
    for space, project in spaces.items():
        places = project(train)
        distances[space], indices = nearest(project(fakes), places, count)
        found[space] = train[indices.flatten()].unflatten(0, indices.shape)
        some = places[:: -(-len(places) // _TYPICAL)]
        typical[space] = nearest(some, places, 2)[0][:, 1].median().item()
    return Neighbours(fakes, found, distances, typical)
