"""All metrics of one generator, each beside what real images would have."""

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

RESAMPLES = 3
_SPLIT_SEED = 20_231

GeneratePixels = Callable[[int, int], Tensor]
"""Count and seed to uint8 images (N, C, H, W)."""


@dataclass(frozen=True)
class Score:
    """One metric of a generator.

    name: such as `lenet_fid`. better: `lower`, `higher`, or the value that real images have,
    such as `0.5`. value: the mean over resamples, each with fakes of its own. spread: their
    standard deviation; None where there is one. floor: of held-out real images in the place of
    fakes. samples: fakes a resample, and real images.
    """

    name: str
    better: str
    value: float
    spread: float | None
    floor: float
    samples: int


@dataclass(frozen=True, eq=False)
class RealReference:
    """The real images of an evaluation, with what is computed of them once.

    train, held_out: uint8 (N, C, H, W), as many of each. source: where the held-out ones are
    from, for the reader. classifier: None where there are no labels.
    """

    space: FeatureSpace
    classifier: Classifier | None
    train: Tensor
    held_out: Tensor
    train_features: Tensor
    held_out_features: Tensor
    floors: Mapping[str, float]
    source: str


METRIC_DIRECTIONS = {
    "fid": "lower",
    "kid": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "two_sample_accuracy": "0.5",
    "two_sample_accuracy_real": "0.5",
    "two_sample_accuracy_fake": "0.5",
    "memorisation": "0.5",
    "class_coverage": "higher",
    "class_divergence": "lower",
    "modes": "higher",
    "mode_divergence": "lower",
    "sliced_wasserstein": "lower",
    "ms_ssim": "as real",
}


def make_reference(
    images: ImageSet, held_out: ImageSet | None, space: FeatureSpace, samples: int
) -> RealReference:
    """Real images that fakes are measured by, and as many to measure what real ones get.

    images: those of the training. held_out: others of their kind; None takes half of `images`
    in their place. samples: of each, at most. They are chosen at random but always alike.
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
    train_features, held_out_features = (space.features(each) for each in (train, others))
    reference = RealReference(
        space=space,
        classifier=load_classifier(images, space.device) if is_labelled(images) else None,
        train=train,
        held_out=others,
        train_features=train_features,
        held_out_features=held_out_features,
        floors={},
        source=source,
    )
    floors = dict(_metrics(reference, others, held_out_features))
    return replace(reference, floors=floors)


def evaluate(
    generate: GeneratePixels, reference: RealReference, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Score]:
    """Every metric of a generator, over several sets of fakes.

    generate: makes as many fakes as there are real images in the reference.
    """
    count = len(reference.train)
    found: dict[str, list[float]] = {}
    for resample in range(resamples):
        fake = generate(count, seed + resample)
        for name, value in _metrics(reference, fake, reference.space.features(fake)):
            found.setdefault(name, []).append(value)
    return [
        Score(
            name=name,
            better=METRIC_DIRECTIONS[name.removeprefix(reference.space.prefix)],
            value=statistics.fmean(values),
            spread=statistics.stdev(values) if len(values) > 1 else None,
            floor=reference.floors[name],
            samples=count,
        )
        for name, values in found.items()
    ]


def _metrics(
    reference: RealReference, fake: Tensor, fake_features: Tensor
) -> Iterable[tuple[str, float]]:
    """Names and values. Those in a feature space bear its name."""
    prefix, real_features = reference.space.prefix, reference.train_features
    yield f"{prefix}fid", frechet_distance(real_features, fake_features)
    yield f"{prefix}kid", kernel_distance(real_features, fake_features)
    balls = dict(precision_recall_density_coverage(real_features, fake_features))
    accuracies = two_sample_accuracy(real_features, fake_features)
    for name, value in (balls | dict(accuracies)).items():
        yield f"{prefix}{name}", value
    copied = memorisation(real_features, reference.held_out_features, fake_features)
    yield f"{prefix}memorisation", copied
    if reference.classifier is not None:
        classes = reference.classifier.count
        predicted, given = map(reference.classifier.classes, (fake, reference.train))
        yield "class_coverage", class_coverage(predicted, classes)
        yield "class_divergence", class_divergence(predicted, given, classes)
        if reference.classifier.stacked:
            evenly = torch.arange(classes)
            yield "modes", classes * class_coverage(predicted, classes)
            yield "mode_divergence", class_divergence(predicted, evenly, classes)
    yield "sliced_wasserstein", sliced_wasserstein_distance(reference.train, fake)
    yield "ms_ssim", multiscale_similarity(fake)


def _shuffled(count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(_SPLIT_SEED))
