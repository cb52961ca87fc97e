"""All metrics of one generator, each beside what real images would get."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dcgan.data.image_set import ImageSet
from dcgan.evaluation.features.classifier import Classifier, is_labelled, load_classifier
from dcgan.evaluation.features.feature_space import FeatureSpace
from dcgan.evaluation.metrics.class_balance import class_coverage, class_divergence
from dcgan.evaluation.metrics.distances import frechet_distance, kernel_distance
from dcgan.evaluation.metrics.image_space import multiscale_similarity, sliced_wasserstein_distance
from dcgan.evaluation.metrics.nearest_neighbours import (
    memorisation,
    precision_recall_density_coverage,
    two_sample_accuracy,
)
from dcgan.training.precision import ieee_float32
from tracking.metric_directions import METRIC_DIRECTIONS, MetricDirection

RESAMPLES = 3
_SPLIT_SEED = 20_231

GeneratePixels = Callable[[int, int], Tensor]
"""From a count and a seed to uint8 images (count, C, H, W)."""


@dataclass(frozen=True)
class Score:
    """One metric of a generator.

    Attributes:
        name: With the prefix of its feature space, such as `lenet_fid`.
        better: `lower`, `higher`, or what is best if neither is: `0.5`, `as real`.
        value: The mean over resamples, each with fakes of its own.
        spread: The standard deviation over resamples; None if there is only one.
        real_score: What held-out real images get in place of the fakes.
        samples: Fakes per resample, and as many real images.
    """

    name: str
    better: MetricDirection
    value: float
    spread: float | None
    real_score: float
    samples: int


@dataclass(frozen=True, eq=False)
class RealReference:
    """The real images of an evaluation, and what is computed from them only once.

    Attributes:
        space: The feature space in which images are compared.
        classifier: Of the images' classes; None if they have no labels.
        train: Images that were trained on, uint8 (N, C, H, W).
        held_out: Other real images, uint8 (N, C, H, W).
        train_features: Of `train`, (N, D).
        held_out_features: Of `held_out`, (N, D).
        real_scores: Name of each metric -> what the held-out images get in place of fakes.
        source: Where the held-out images are from, in words for the reader.
    """

    space: FeatureSpace
    classifier: Classifier | None
    train: Tensor
    held_out: Tensor
    train_features: Tensor
    held_out_features: Tensor
    real_scores: Mapping[str, float]
    source: str

    def direction(self, name: str) -> MetricDirection:
        """The direction of a metric that is named in this feature space."""
        return METRIC_DIRECTIONS[name.removeprefix(self.space.prefix)]


@ieee_float32()
def make_reference(
    images: ImageSet, held_out: ImageSet | None, space: FeatureSpace, samples: int
) -> RealReference:
    """Choose the real images to measure fakes by, and others to see what real images get.

    The choice is random, but the same each time.

    Args:
        images: What was trained on.
        held_out: Others of the same kind; None takes half of `images` in their place.
        space: The feature space in which images are compared.
        samples: Images of each kind at most.
    """
    order = _shuffled(len(images.pixels))
    if held_out is None:
        count = min(samples, len(order) // 2)
        others = images.pixels[order[-count:]]
        source = "the other half of the images, which were trained on as well"
    else:
        count = min(samples, len(order), len(held_out.pixels))
        others = held_out.pixels[_shuffled(len(held_out.pixels))[:count]]
        source = "others, which were not trained on"
    train = images.pixels[order[:count]]
    train_features, held_out_features = map(space.features, (train, others))
    reference = RealReference(
        space=space,
        classifier=load_classifier(images, space.device) if is_labelled(images) else None,
        train=train,
        held_out=others,
        train_features=train_features,
        held_out_features=held_out_features,
        real_scores={},
        source=source,
    )
    real_scores = dict(_metrics(reference, others, held_out_features))
    return replace(reference, real_scores=real_scores)


@ieee_float32()
def evaluate(
    generate: GeneratePixels, reference: RealReference, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Score]:
    """Measure a generator by every metric, over several sets of fakes.

    Args:
        generate: Makes fakes; each set has as many as the reference has real images.
        reference: The real images.
        resamples: Sets of fakes.
        seed: Of the first set; the next set has the next seed.

    Returns:
        One score per metric, the Frechet distance first.
    """
    count = len(reference.train)
    values_by_name: dict[str, list[float]] = {}
    for resample in range(resamples):
        fake = generate(count, seed + resample)
        for name, value in _metrics(reference, fake, reference.space.features(fake)):
            values_by_name.setdefault(name, []).append(value)
    return [
        Score(
            name=name,
            better=reference.direction(name),
            value=statistics.fmean(values),
            spread=statistics.stdev(values) if len(values) > 1 else None,
            real_score=reference.real_scores[name],
            samples=count,
        )
        for name, values in values_by_name.items()
    ]


def _metrics(
    reference: RealReference, fake: Tensor, fake_features: Tensor
) -> Iterable[tuple[str, float]]:
    """Names and values; the names of metrics in a feature space begin with its prefix."""
    prefix, real_features = reference.space.prefix, reference.train_features
    yield f"{prefix}fid", frechet_distance(real_features, fake_features)
    yield f"{prefix}kid", kernel_distance(real_features, fake_features)
    balls = dict(precision_recall_density_coverage(real_features, fake_features))
    accuracies = two_sample_accuracy(real_features, fake_features)
    for name, value in (balls | dict(accuracies)).items():
        yield f"{prefix}{name}", value
    copying = memorisation(real_features, reference.held_out_features, fake_features)
    yield f"{prefix}memorisation", copying
    if reference.classifier is not None:
        classes = reference.classifier.count
        predicted, real = map(reference.classifier.classes, (fake, reference.train))
        yield "class_coverage", class_coverage(predicted, classes)
        yield "class_divergence", class_divergence(predicted, real, classes)
        if reference.classifier.stacked:
            uniform = torch.arange(classes)
            yield "modes", classes * class_coverage(predicted, classes)
            yield "mode_divergence", class_divergence(predicted, uniform, classes)
    yield "sliced_wasserstein", sliced_wasserstein_distance(reference.train, fake)
    yield "ms_ssim", multiscale_similarity(fake)


def _shuffled(count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(_SPLIT_SEED))
