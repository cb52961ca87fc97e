"""Walks through G's latent space (Radford et al. 2016, sections 6.1 and 6.3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dcgan.config.schema import Network
from dcgan.data.scaling import to_uint8
from dcgan.evaluation.features.classifier import load_classifier
from dcgan.probes.errors import ProbeError
from dcgan.probes.labelled_images import number_of_class
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.samples.latents import between
from dcgan.sampling import check_finite, draw_latents, generate

_BATCH = 256
_MIN_FOR_MEAN, _MAX_STARTS = 20, 500
_STRENGTHS, _ROWS = 9, 6

RANDOM_DIRECTIONS = 100
"""A single one says little: in one run, 20 of them reached shares from 0.00 to 0.49."""

_STARTS_OF_A_DIRECTION = 50


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """How images of one class change on the way to another.

    Attributes:
        strengths: Multiples of the difference of the two mean latents.
        images: In [-1, 1], float (rows, strengths, C, H, W).
        shares: The share of images, 0 to 1, at each strength that the classifier takes for the
            other class, along the difference.
        control: The same along random directions of the same length, another for each latent.
        starts: How many latents these are shares of.
        rank: The place of the difference among it and 100 random directions, by the share at its
            own length: 1 if no random direction does as well, 101 if all do.
    """

    strengths: list[float]
    images: Tensor
    shares: list[float]
    control: list[float]
    starts: int
    rank: int


def interpolate(
    generator: nn.Module, network: Network, *, rows: int, columns: int, seed: int
) -> Tensor:
    """Walk between random latents.

    Args:
        generator: G, on the CPU.
        network: The configuration of its latents.
        rows: Pairs of latents.
        columns: Images per pair, both ends included.
        seed: The seed of the latents.

    Returns:
        Images in [-1, 1], float (rows, columns, C, H, W).

    Raises:
        GenerationError: Pixels are not finite.
    """
    ends = draw_latents(2 * rows, network, torch.Generator().manual_seed(seed))
    first, last = ends.flatten(1).chunk(2)
    shares = torch.linspace(0, 1, columns)
    points = [between(network, first, last, share) for share in shares]
    latents = torch.stack(points, dim=1).reshape(-1, network.latent_size, 1, 1)
    images = _generate_in_batches(generator, latents)
    return images.view(rows, columns, *images.shape[1:])


def shift_classes(
    run: TrainedRun, from_class: str, to_class: str, largest_strength: float, seed: int
) -> tuple[Arithmetic, float]:
    """Shift a run's latents from one class toward another.

    Classes are those that a classifier, trained on the run's own images, sees in G's.

    Args:
        run: The run, with its networks on the CPU.
        from_class: The name of the class to begin with.
        to_class: The name of the class to go to.
        largest_strength: The largest multiple of the difference of the mean latents.
        seed: The seed of the latents.

    Returns:
        The shift in nine steps from 0 to `largest_strength`, and the accuracy of the
        classifier on held-out real images, 0 to 1.

    Raises:
        ProbeError: There is no such class, or G draws too few images of it.
        GenerationError: Pixels are not finite.
        StoreError: The run's images have changed since it was trained.
        DataError: The run's images cannot be loaded.
    """
    images = run.images()
    from_number, to_number = (number_of_class(images, name) for name in (from_class, to_class))
    classifier = load_classifier(images, torch.device("cpu"))
    shift = arithmetic(
        run.generator(),
        run.config.network,
        lambda fakes: classifier.classes(to_uint8(fakes)),
        from_class=from_number,
        to_class=to_number,
        strengths=[largest_strength * step / (_STRENGTHS - 1) for step in range(_STRENGTHS)],
        rows=_ROWS,
        seed=seed,
        names=images.card.classes,
    )
    return shift, classifier.accuracy


def arithmetic(
    generator: nn.Module,
    network: Network,
    classify: Callable[[Tensor], Tensor],
    *,
    from_class: int,
    to_class: int,
    strengths: list[float],
    rows: int = 8,
    samples: int = 10_000,
    seed: int = 0,
    names: Sequence[str] = (),
) -> Arithmetic:
    """Shift latents of one class by the mean latent of another less that of their own.

    Args:
        generator: G, on the CPU.
        network: The configuration of its latents.
        classify: Maps images (n, C, H, W) in [-1, 1] to classes, int64 (n,).
        from_class: The class to begin with.
        to_class: The class to go to.
        strengths: Multiples of the difference.
        rows: Images that are shown at each strength.
        samples: Latents that are drawn and classified for the two means.
        seed: The seed of the latents and of the random directions.
        names: The names of all classes, for the message of an error.

    Raises:
        ProbeError: G draws too few images of either class for a mean.
        GenerationError: Pixels are not finite.
    """
    rng = torch.Generator().manual_seed(seed)

    def classes_of(latents: Tensor) -> Tensor:
        batches = latents.split(_BATCH)
        return torch.cat([classify(_generate_in_batches(generator, batch)) for batch in batches])

    latents = draw_latents(samples, network, rng)
    classes = classes_of(latents)
    from_latents, to_latents = (latents[classes == each] for each in (from_class, to_class))
    for number, class_latents in ((from_class, from_latents), (to_class, to_latents)):
        if len(class_latents) < _MIN_FOR_MEAN:
            raise ProbeError(
                f"Of {samples:,} images by this generator the classifier takes "
                f"{len(class_latents)} for class {names[number] if names else number}:\n"
                "too few for a mean. Take another class, or a run that trained longer."
            )
    difference = to_latents.mean(0) - from_latents.mean(0)
    directions = torch.randn((RANDOM_DIRECTIONS, *difference.shape), generator=rng)
    lengths = directions.flatten(1).norm(dim=1).view(-1, *[1] * difference.dim())
    directions *= difference.norm() / lengths
    # Not the latents from which the means were computed, or the result would be too good.
    fresh = draw_latents(samples, network, rng)
    starts = fresh[classes_of(fresh) == from_class][:_MAX_STARTS]

    def share(direction: Tensor, strength: float) -> float:
        return share_reached(starts + strength * direction)

    def share_reached(latents: Tensor) -> float:
        return (classes_of(latents) == to_class).double().mean().item()

    few = starts[:_STARTS_OF_A_DIRECTION]
    reached = share_reached(few + difference)
    as_good = sum(share_reached(few + direction) >= reached for direction in directions)
    other_directions = directions[torch.arange(len(starts)) % RANDOM_DIRECTIONS]
    shifted = [starts[:rows] + strength * difference for strength in strengths]
    shown = torch.stack(shifted, dim=1)
    images = _generate_in_batches(generator, shown.flatten(0, 1))
    return Arithmetic(
        strengths=strengths,
        images=images.view(*shown.shape[:2], *images.shape[1:]),
        shares=[share(difference, each) for each in strengths],
        control=[share(other_directions, each) for each in strengths],
        starts=len(starts),
        rank=1 + as_good,
    )


def _generate_in_batches(generator: nn.Module, latents: Tensor) -> Tensor:
    """Raises GenerationError if pixels are not finite."""
    images = torch.cat([generate(generator, batch, "eval") for batch in latents.split(_BATCH)])
    check_finite(images)
    return images
