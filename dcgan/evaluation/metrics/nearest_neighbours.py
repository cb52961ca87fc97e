"""What nearest neighbours in a feature space tell of fakes.

Distances are Euclidean and computed in blocks, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

NEIGHBOURS = 5
"""The k of Naeem et al. 2020, section 4."""

_BLOCK = 2_048


def precision_recall_density_coverage(
    real: Tensor, fake: Tensor, neighbours: int = NEIGHBOURS
) -> Mapping[str, float]:
    """Fidelity and diversity by k-nearest-neighbour balls.

    precision, recall: Kynkaanniemi et al. 2019, equations 1 and 2. density, coverage: Naeem et
    al. 2020, equations 3 and 4. real, fake: features (N, D), more than `neighbours` of each.
    Larger is better, from 0 to 1; density may exceed 1.
    """
    real_radius = nearest_distances(real, real, neighbours + 1)[:, -1]
    fake_radius = nearest_distances(fake, fake, neighbours + 1)[:, -1]
    within_real = torch.zeros(len(fake), dtype=torch.int64)
    covered = torch.zeros(len(real), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    for start in range(0, len(fake), _BLOCK):
        block = slice(start, start + _BLOCK)
        distance = torch.cdist(fake[block], real)
        inside = distance < real_radius
        within_real[block] = inside.sum(dim=1)
        covered |= inside.any(dim=0)
        recalled |= (distance < fake_radius[block, None]).any(dim=0)
    return {
        "precision": (within_real > 0).double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": within_real.double().mean().item() / neighbours,
        "coverage": covered.double().mean().item(),
    }


def two_sample_accuracy(real: Tensor, fake: Tensor) -> Mapping[str, float]:
    """Leave-one-out accuracy of a 1-nearest-neighbour classifier of real and fake.

    Lopez-Paz and Oquab 2017; over the real images and over the fakes alone as Xu et al. 2018,
    section 3, have it, since a mean of 0.5 may be one of 0 and 1: fakes that are all nearer
    to real images than to each other. real, fake: features (N, D), as many of each. 0.5 is
    best: 1 tells all apart, 0 are copies.
    """
    both = torch.cat([real, fake])
    is_real = torch.arange(len(both)) < len(real)
    right = torch.zeros(len(both))
    for start in range(0, len(both), _BLOCK):
        rows = torch.arange(start, min(start + _BLOCK, len(both)))
        distance = torch.cdist(both[rows], both)
        distance[torch.arange(len(rows)), rows] = torch.inf
        right[rows] = (is_real[distance.argmin(dim=1)] == is_real[rows]).float()
    return {
        "two_sample_accuracy": right.mean().item(),
        "two_sample_accuracy_real": right[is_real].mean().item(),
        "two_sample_accuracy_fake": right[~is_real].mean().item(),
    }


def memorisation(train: Tensor, held_out: Tensor, fake: Tensor) -> float:
    """How often a fake is nearer to the training images than a held-out real image is.

    The probability over pairs, ties counted half: the Mann-Whitney statistic of Meehan et al.
    2020, section 3 (data-copying), over the whole space. train, held_out, fake: features
    (N, D). 0.5 is as near as real images are; towards 1 training images are copied, towards 0
    fakes are far from all of them.
    """
    fakes = nearest_distances(fake, train, 1)[:, 0]
    others = nearest_distances(held_out, train, 1)[:, 0].sort().values
    below = torch.searchsorted(others, fakes, side="left")
    upto = torch.searchsorted(others, fakes, side="right")
    farther = len(others) - (below + upto).double() / 2
    return (farther / len(others)).mean().item()


def nearest_distances(queries: Tensor, to: Tensor, count: int) -> Tensor:
    """The `count` smallest distances of each query, increasing, (N, count)."""
    return nearest(queries, to, count)[0]


def nearest(queries: Tensor, to: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` nearest of each query: distances and indices, (N, count) each."""
    found = [
        torch.cdist(block, to).topk(min(count, len(to)), largest=False)
        for block in queries.split(_BLOCK)
    ]
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])
