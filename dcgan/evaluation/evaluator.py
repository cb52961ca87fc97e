"""All metrics of one generator, each beside the score of real images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dcgan.data.image_set import ImageSet
from dcgan.evaluation.features.classifier import Classifier, is_labelled, load_classifier
from dcgan.evaluation.features.feature_cache import cached_features
from dcgan.evaluation.features.feature_space import FeatureSpace
from dcgan.evaluation.metrics.class_balance import class_coverage, class_divergence
from dcgan.evaluation.metrics.distances import frechet_distance, kernel_distance
from dcgan.evaluation.metrics.image_space import multiscale_similarity, sliced_wasserstein_distance
from dcgan.evaluation.metrics.nearest_neighbours import (
    check_count,
    distances_to_training_images,
    memorisation,
    precision_recall_density_coverage,
    two_sample_accuracy,
)
from dcgan.training.precision import ieee_float32
from tracking.metric_directions import MetricDirection, direction_of

VERSION = 2
"""Increased whenever a metric is computed differently, since its values then cannot be compared."""

MIN_PRECISION = 0.5
"""Modes are counted only if this share of the fakes lies among real images: a classifier finds
hundreds of modes in noise (blobs of one colour: up to 610 of 1,000)."""

RESAMPLES = 3
MODE_METRICS = ("modes", "mode_divergence")
_SPLIT_SEED = 20_231

GeneratePixels = Callable[[int, int], Tensor]
"""Draws images: a count and a seed to uint8 (count, C, H, W)."""


@dataclass(frozen=True)
class Score:
    """One metric of a generator.

    Attributes:
        name: The name with the prefix of its feature space, such as `lenet_fid`.
        better: `lower`, `higher`, or what is best if neither is: `0.5`, `as real`.
        value: The mean over resamples, each with new fakes.
        spread: The standard deviation over resamples; None if there is only one, or if the
            value is infinite.
        real_score: The score of held-out real images in place of the fakes.
        samples: Fakes per resample, and as many real images.
    """

    name: str
    better: MetricDirection
    value: float
    spread: float | None
    real_score: float
    samples: int


@dataclass(frozen=True, eq=False)
class RealFeatures:
    """The features of real images in one space.

    Attributes:
        space: The feature space.
        train: The features of images that were trained on, (N, D).
        held_out: The features of other images, (N, D).
    """

    space: FeatureSpace
    train: Tensor
    held_out: Tensor


@dataclass(frozen=True, eq=False)
class RealReference:
    """The real images of an evaluation, with everything that is computed from them once.

    Attributes:
        spaces: The features by which images are compared, those of the first distance first.
        classifier: A classifier of the images' classes; None if they have no labels.
        train: Images that were trained on, uint8 (N, C, H, W).
        held_out: Other real images, uint8 (N, C, H, W).
        all_train_features: Those of every training image, in the last of the spaces, (M, D).
        held_out_distances: Distances of held-out images to the nearest training image there,
            (N,).
        real_scores: Name of each metric -> score of the held-out images in place of fakes.
        source: Where the held-out images are from, in words for the reader.
        requested: How many images of each kind were requested; there may be fewer.
    """

    spaces: Sequence[RealFeatures]
    classifier: Classifier | None
    train: Tensor
    held_out: Tensor
    all_train_features: Tensor
    held_out_distances: Tensor
    real_scores: Mapping[str, float]
    source: str
    requested: int

    @property
    def description(self) -> str:
        """A description of the networks whose features are compared, for the reader."""
        return "; ".join(each.space.description for each in self.spaces)


CountImages = Callable[[str, int, int], None]
"""Called with a word for the images, the number of them that are done, and their total."""


def uncounted(what: str, done: int, total: int) -> None:
    """A CountImages that reports nothing.

    Args:
        what: Not used.
        done: Not used.
        total: Not used.
    """


@ieee_float32()
def make_reference(
    images: ImageSet,
    held_out: ImageSet | None,
    spaces: Sequence[FeatureSpace],
    samples: int,
    count_images: CountImages = uncounted,
) -> RealReference:
    """Choose real images to compare fakes with, and held-out ones to score in place of fakes.

    The choice is random, but the same each time. For memorisation all training images count, in
    the last of the spaces.

    Args:
        images: What was trained on.
        held_out: Others of the same kind; None, or the same images, takes half of `images` in
            their place.
        spaces: The feature spaces in which images are compared.
        samples: Images of each kind at most.
        count_images: Called while features are computed.

    Raises:
        EvaluationError: There are too few images.
    """
    order = shuffled_indices(len(images.pixels))
    if held_out is not None and held_out.card.fingerprint == images.card.fingerprint:
        held_out = None  # the folder of the training images was given again
    if held_out is None:
        count = min(samples, len(order) // 2)
        others = images.pixels[order.flip(0)[:count]]
        fingerprint, other_order = images.card.fingerprint, "shuffled, from the end"
        source = "the other half of the images, which were trained on as well"
    else:
        count = min(samples, len(order), len(held_out.pixels))
        others = held_out.pixels[shuffled_indices(len(held_out.pixels))[:count]]
        fingerprint, other_order = held_out.card.fingerprint, "shuffled"
        source = "others, which were not trained on"
    check_count(count)
    train = images.pixels[order[:count]]
    features: list[RealFeatures] = []
    for space in spaces:
        # Only the first space reports progress: it takes longest, so the rate is steady.
        counter = ImageCounter("real images", 2 * count, uncounted if features else count_images)
        of_train = cached_features(space, train, images.card.fingerprint, "shuffled", counter.add)
        of_others = cached_features(space, others, fingerprint, other_order, counter.add)
        features.append(RealFeatures(space, of_train, of_others))
    own = features[-1]
    counter = ImageCounter("training images", len(images.pixels), count_images)
    all_train = cached_features(
        own.space, images.pixels, images.card.fingerprint, "all", counter.add
    )
    reference = RealReference(
        spaces=features,
        classifier=load_classifier(images, own.space.device) if is_labelled(images) else None,
        train=train,
        held_out=others,
        all_train_features=all_train,
        held_out_distances=_distances_to_training_images(
            own.space, own.held_out, all_train, belong_to_train=held_out is None
        ),
        real_scores={},
        source=source,
        requested=samples,
    )
    real_scores = _metrics(
        reference, others, [each.held_out for each in features], reference.held_out_distances
    )
    return replace(reference, real_scores=dict(real_scores))


@ieee_float32()
def evaluate(
    generate: GeneratePixels,
    reference: RealReference,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    count_images: CountImages = uncounted,
) -> list[Score]:
    """Measure a generator by every metric, over several sets of fakes.

    Args:
        generate: Makes fakes; each set has as many as the reference has real images.
        reference: The real images.
        resamples: Sets of fakes.
        seed: The seed of the first set; the next set has the next seed.
        count_images: Called while features of fakes are computed.

    Returns:
        One score per metric, the Frechet distance of the first space first; without those that
        count modes where the fakes are noise, `MIN_PRECISION`.
    """
    count = len(reference.train)
    values_by_name: dict[str, list[float]] = {}
    first, *others = [each.space for each in reference.spaces]
    counter = ImageCounter("fakes", resamples * count, count_images)
    for resample in range(resamples):
        fake = generate(count, seed + resample)
        features = [first.features(fake, counter.add), *(each.features(fake) for each in others)]
        distances = _distances_to_training_images(
            reference.spaces[-1].space, features[-1], reference.all_train_features
        )
        for name, value in _metrics(reference, fake, features, distances):
            values_by_name.setdefault(name, []).append(value)
    precision = statistics.fmean(values_by_name[f"{reference.spaces[-1].space.prefix}precision"])
    if precision < MIN_PRECISION:
        for name in MODE_METRICS:
            values_by_name.pop(name, None)
    return [
        Score(
            name=name,
            better=known_direction(name),
            value=statistics.fmean(values),
            spread=_spread(values),
            real_score=reference.real_scores[name],
            samples=count,
        )
        for name, values in values_by_name.items()
    ]


def _spread(values: Sequence[float]) -> float | None:
    """None where it cannot be told: of a single value, or of infinite ones."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    return statistics.stdev(values)


def known_direction(name: str) -> MetricDirection:
    """The direction of one of this package's metrics."""
    direction = direction_of(name)
    assert direction is not None, f"{name} is missing in METRIC_DIRECTIONS"
    return direction


def _metrics(
    reference: RealReference, fake: Tensor, features: Sequence[Tensor], distances: Tensor
) -> Iterable[tuple[str, float]]:
    """Names and values; the names of metrics in a feature space begin with its prefix.

    features: of `fake` in each space; distances: of `fake` to the nearest training image.
    """
    for real, fake_features in zip(reference.spaces, features, strict=True):
        prefix = real.space.prefix
        yield f"{prefix}fid", frechet_distance(real.train, fake_features)
        # Features are kept on the host; all pairs of them are for the device.
        of_real, of_fakes = (each.to(real.space.device) for each in (real.train, fake_features))
        yield f"{prefix}kid", kernel_distance(of_real, of_fakes)
        balls = dict(precision_recall_density_coverage(of_real, of_fakes))
        accuracies = two_sample_accuracy(of_real, of_fakes)
        for name, value in (balls | dict(accuracies)).items():
            yield f"{prefix}{name}", value
    own_prefix = reference.spaces[-1].space.prefix
    yield f"{own_prefix}memorisation", memorisation(reference.held_out_distances, distances)
    if reference.classifier is not None:
        classes = reference.classifier.count
        predicted, real_classes = map(reference.classifier.classes, (fake, reference.train))
        yield "class_coverage", class_coverage(predicted, classes)
        yield "class_divergence", class_divergence(predicted, real_classes, classes)
        if reference.classifier.stacked:
            uniform = torch.arange(classes)
            yield "modes", classes * class_coverage(predicted, classes)
            yield "mode_divergence", class_divergence(predicted, uniform, classes)
    yield "sliced_wasserstein", sliced_wasserstein_distance(reference.train, fake)
    yield "ms_ssim", multiscale_similarity(fake)


def _distances_to_training_images(
    space: FeatureSpace, features: Tensor, train: Tensor, *, belong_to_train: bool = False
) -> Tensor:
    """As `distances_to_training_images`, computed on the device and returned on the CPU."""
    on_device = features.to(space.device), train.to(space.device)
    return distances_to_training_images(*on_device, belong_to_train=belong_to_train).cpu()


class ImageCounter:
    """Adds up numbers of images for a CountImages."""

    def __init__(self, what: str, total: int, count_images: CountImages) -> None:
        self._what, self._total, self._report = what, total, count_images
        self._done = 0

    def add(self, images: int) -> None:
        """Count images that are done."""
        self._done += images
        self._report(self._what, self._done, self._total)


def shuffled_indices(count: int) -> Tensor:
    """0 to `count` - 1, in the order in which real images are chosen."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(_SPLIT_SEED))
