"""Metrics from nearest neighbours in a feature space: fidelity, diversity, memorisation.

Distances are Euclidean and computed in blocks, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dcgan.evaluation.errors import EvaluationError
from tracking.wording import plural

NEIGHBOURS = 5
"""The k of Naeem et al. 2020, section 4."""

_BLOCK = 2_048


def precision_recall_density_coverage(
    real: Tensor, fake: Tensor, neighbours: int = NEIGHBOURS
) -> Mapping[str, float]:
    """Fidelity and diversity by k-nearest-neighbour balls.

    Precision and recall: Kynkaanniemi et al. 2019, equations 1 and 2. Density and coverage:
    Naeem et al. 2020, equations 3 and 4. Larger is better, from 0 to 1; density may exceed 1.

    Args:
        real: Features (N, D), more than `neighbours`.
        fake: Features (M, D), more than `neighbours`.
        neighbours: The k-th nearest neighbour gives the radius of a ball.

    Returns:
        The four values by their names.

    Raises:
        EvaluationError: There are too few images for this number of neighbours.
    """
    check_count(min(len(real), len(fake)), neighbours)
    real_radius = nearest_distances(real, real, neighbours + 1)[:, -1]
    fake_radius = nearest_distances(fake, fake, neighbours + 1)[:, -1]
    within_real = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for start in range(0, len(fake), _BLOCK):
        block = slice(start, start + _BLOCK)
        distance = torch.cdist(fake[block], real)
        inside = distance < real_radius
        within_real[block] = inside.sum(dim=1)
        covered |= inside.any(dim=0)
        recalled |= (distance < fake_radius[block, None]).any(dim=0)
    # On the host, because not every device has float64.
    within_real, recalled, covered = within_real.cpu(), recalled.cpu(), covered.cpu()
    return {
        "precision": (within_real > 0).double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": within_real.double().mean().item() / neighbours,
        "coverage": covered.double().mean().item(),
    }


def check_count(images: int, neighbours: int = NEIGHBOURS) -> None:
    """Raise EvaluationError if there are too few images for each to have `neighbours`."""
    if images <= neighbours:
        raise EvaluationError(
            f"{plural(images, 'image')} of each kind are too few: precision, recall, density and "
            f"coverage need the {neighbours} nearest of each, so at least {neighbours + 1} images."
        )


def two_sample_accuracy(real: Tensor, fake: Tensor) -> Mapping[str, float]:
    """Leave-one-out accuracy of a 1-nearest-neighbour classifier of real and fake.

    Lopez-Paz and Oquab 2017. Also over the real images and over the fakes alone, as in Xu et al.
    2018, section 3, since an accuracy of 0.5 may be the mean of 0 and 1. 0.5 is best: at 1 all
    fakes can be told apart, at 0 they are copies. real, fake: features (N, D), as many of each.
    """
    both = torch.cat([real, fake])
    positions = torch.arange(len(both), device=both.device)
    is_real = positions < len(real)
    correct = torch.zeros(len(both), device=both.device)
    for start in range(0, len(both), _BLOCK):
        rows = positions[start : start + _BLOCK]
        distance = torch.cdist(both[rows], both)
        distance[positions[: len(rows)], rows] = torch.inf
        correct[rows] = (is_real[distance.argmin(dim=1)] == is_real[rows]).float()
    return {
        "two_sample_accuracy": correct.mean().item(),
        "two_sample_accuracy_real": correct[is_real].mean().item(),
        "two_sample_accuracy_fake": correct[~is_real].mean().item(),
    }


def memorisation(held_out: Tensor, fakes: Tensor) -> float:
    """How often a fake is nearer to the training images than a held-out real image is.

    The probability over pairs, ties counted half: the Mann-Whitney statistic of Meehan et al.
    2020, section 3 (data-copying), over the whole space.

    Args:
        held_out: Distances of held-out real images to the nearest training image, (M,).
        fakes: Those of fakes, (N,), in the same space.

    Returns:
        0 to 1: 0.5 if fakes are as near as real images are; toward 1 training images are
        copied, toward 0 fakes are far from all of them.
    """
    others = held_out.sort().values
    below = torch.searchsorted(others, fakes, side="left")
    up_to = torch.searchsorted(others, fakes, side="right")
    farther = len(others) - (below + up_to).double() / 2
    return (farther / len(others)).mean().item()


def distances_to_training_images(
    images: Tensor, train: Tensor, *, belong_to_train: bool = False
) -> Tensor:
    """How far each image is from the nearest training image; the copy of one is at about 0.

    Args:
        images: Features (N, D).
        train: Features of every training image, (M, D).
        belong_to_train: Whether `images` are training images, for which the nearest other one
            counts.

    Returns:
        Distances (N,).
    """
    # Small numbers lose less when distances are computed from products.
    centre = train.mean(dim=0)
    count = 2 if belong_to_train else 1
    return nearest_distances(images - centre, train - centre, count)[:, -1].contiguous()


def nearest_distances(queries: Tensor, to: Tensor, count: int) -> Tensor:
    """The smallest distances of each query.

    Args:
        queries: Features (N, D).
        to: Features (M, D).
        count: How many distances, at most M.

    Returns:
        Increasing distances, (N, count).

    Raises:
        EvaluationError: There are fewer than `count` points.
    """
    return nearest(queries, to, count)[0]


def nearest(queries: Tensor, to: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The nearest points of each query.

    Args:
        queries: Features (N, D).
        to: Features (M, D).
        count: How many points, at most M.

    Returns:
        Increasing distances, and indices into `to`, (N, count) each.

    Raises:
        EvaluationError: There are fewer than `count` points.
    """
    check_enough(len(to), count)
    blocks = [torch.cdist(block, to).topk(count, largest=False) for block in queries.split(_BLOCK)]
    distances = torch.cat([block.values for block in blocks])
    return distances, torch.cat([block.indices for block in blocks])


def check_enough(images: int, count: int) -> None:
    """Raise EvaluationError if there are fewer images than the nearest that are asked for."""
    if images < count:
        raise EvaluationError(
            f"The {count} nearest of {plural(images, 'image')} cannot be found: there must be at "
            f"least {count}."
        )
