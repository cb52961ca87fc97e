"""All metrics of one generator, each beside what real images would have."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.data import ImageSet
from dcgan.evaluation.class_balance import class_coverage, class_divergence
from dcgan.evaluation.distances import frechet_distance, kernel_distance
from dcgan.evaluation.feature_space import FeatureSpace
from dcgan.evaluation.neighbours import (
    memorisation,
    precision_recall_density_coverage,
    two_sample_accuracy,
)
from dcgan.evaluation.pixels import multiscale_similarity, sliced_wasserstein_distance

SAMPLES, RESAMPLES = 10_000, 3
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
class Reference:
    """The real images of an evaluation, with what is computed of them once.

    train, held_out: uint8 (N, C, H, W), as many of each. source: where the held-out ones are
    from, for the reader.
    """

    space: FeatureSpace
    train: Tensor
    held_out: Tensor
    train_features: Tensor
    held_out_features: Tensor
    floors: Mapping[str, float]
    source: str


_BETTER = {
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
    "sliced_wasserstein": "lower",
    "ms_ssim": "as real",
}


def make_reference(images: ImageSet, space: FeatureSpace, samples: int = SAMPLES) -> Reference:
    """Divide real images into a reference and as many held-out ones, at random but always alike.

    samples: of each, or half of the images where there are fewer. Both halves were trained on,
    unless `images` are not those of the training.
    """
    order = torch.randperm(len(images.pixels), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    count = min(samples, len(order) // 2)
    train, held_out = (images.pixels[part] for part in (order[:count], order[-count:]))
    train_features, held_out_features = (space.features(each) for each in (train, held_out))
    floors = _metrics(space, train, held_out, train_features, held_out_features, held_out_features)
    return Reference(
        space=space,
        train=train,
        held_out=held_out,
        train_features=train_features,
        held_out_features=held_out_features,
        floors=dict(floors),
        source="the other half of the images, which were trained on as well",
    )


def evaluate(
    generate: GeneratePixels, reference: Reference, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Score]:
    """Every metric of a generator, over several sets of fakes.

    generate: makes as many fakes as there are real images in the reference.
    """
    count = len(reference.train)
    found: dict[str, list[float]] = {}
    for resample in range(resamples):
        fake = generate(count, seed + resample)
        for name, value in _metrics(
            reference.space,
            reference.train,
            fake,
            reference.train_features,
            reference.space.features(fake),
            reference.held_out_features,
        ):
            found.setdefault(name, []).append(value)
    return [
        Score(
            name=name,
            better=_BETTER[name.removeprefix(f"{reference.space.name}_")],
            value=statistics.fmean(values),
            spread=statistics.stdev(values) if len(values) > 1 else None,
            floor=reference.floors[name],
            samples=count,
        )
        for name, values in found.items()
    ]


def _metrics(
    space: FeatureSpace,
    real: Tensor,
    fake: Tensor,
    real_features: Tensor,
    fake_features: Tensor,
    held_out_features: Tensor,
) -> Iterable[tuple[str, float]]:
    """Names and values. Those in a feature space bear its name."""
    yield f"{space.name}_fid", frechet_distance(real_features, fake_features)
    yield f"{space.name}_kid", kernel_distance(real_features, fake_features)
    balls = dict(precision_recall_density_coverage(real_features, fake_features))
    accuracies = two_sample_accuracy(real_features, fake_features)
    for name, value in (balls | dict(accuracies)).items():
        yield f"{space.name}_{name}", value
    yield (
        f"{space.name}_memorisation",
        memorisation(real_features, held_out_features, fake_features),
    )
    if space.classifier is not None:
        classes = space.classifier.network.output.out_features
        predicted, given = (space.classes(each) for each in (fake_features, real_features))
        yield "class_coverage", class_coverage(predicted, classes)
        yield "class_divergence", class_divergence(predicted, given, classes)
    yield "sliced_wasserstein", sliced_wasserstein_distance(real, fake)
    yield "ms_ssim", multiscale_similarity(fake)
