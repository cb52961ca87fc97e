"""All metrics of a generator against real images: which images are searched, and how many."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from dcgan.config.loading import load_config
from dcgan.data.image_set import ImageSet
from dcgan.data.loading import load_images
from dcgan.evaluation import evaluator
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.evaluator import evaluate, make_reference
from dcgan.evaluation.features.feature_space import FeatureSpace

PIXELS = FeatureSpace(
    prefix="random_",
    extract=lambda images: images[:, :, ::4, ::4].flatten(1).float() / 255,
    device=torch.device("cpu"),
    description="64 pixels",
    network="64 pixels",
)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    """Digits without labels, in random order, uint8 (1797, 1, 32, 32)."""
    images = load_images(load_config("digits", []).dataset)
    order = torch.randperm(len(images.pixels), generator=torch.Generator().manual_seed(3))
    return ImageSet(images.pixels[order], images.card)


@pytest.fixture(autouse=True)
def _without_slow_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sliced_wasserstein_distance", "kernel_distance", "multiscale_similarity"):
        monkeypatch.setattr(evaluator, name, lambda *images: 0.0)


def part(images: ImageSet, name: str, pixels: Tensor) -> ImageSet:
    return ImageSet(pixels, replace(images.card, fingerprint=name))


@pytest.mark.parametrize("has_held_out", [True, False])
def test_copies_are_found_among_all_training_images(digits: ImageSet, has_held_out: bool) -> None:
    train = part(digits, "train", digits.pixels[:1_200])
    others, fakes = digits.pixels[1_200:1_500], digits.pixels[1_500:]
    held_out = part(digits, "others", others) if has_held_out else None
    reference = make_reference(train, held_out, [PIXELS], 200)

    def memorisation(source: Tensor) -> float:
        scores = evaluate(lambda count, seed: source[:count], reference, resamples=1)
        return next(score.value for score in scores if score.name == "random_memorisation")

    beyond_the_reference = [
        image for image in train.pixels if not (image == reference.train).flatten(1).all(1).any()
    ]
    assert len(beyond_the_reference) == 1_000
    assert memorisation(torch.stack(beyond_the_reference)) >= 0.99
    assert memorisation(fakes) == pytest.approx(0.5, abs=0.06)
    assert reference.real_scores["random_memorisation"] == 0.5


def test_training_images_are_not_held_out_by_giving_them_again(digits: ImageSet) -> None:
    train = part(digits, "train", digits.pixels[:400])
    reference = make_reference(train, train, [PIXELS], 100)
    assert "which were trained on as well" in reference.source
    assert not any(
        (image == reference.train).flatten(1).all(1).any() for image in reference.held_out
    )


def test_too_few_real_images_are_an_error(digits: ImageSet) -> None:
    few = part(digits, "few", digits.pixels[:11])
    with pytest.raises(EvaluationError, match="at least 6 images"):
        make_reference(few, None, [PIXELS], 10_000)
    reference = make_reference(part(digits, "12", digits.pixels[:12]), None, [PIXELS], 10_000)
    assert (len(reference.train), reference.requested) == (6, 10_000)


def test_fakes_of_no_real_images_class_have_an_infinite_divergence(digits: ImageSet) -> None:
    """As of a generator that draws one of the 1,000 modes, and few real images."""
    reference = make_reference(digits, None, [PIXELS], 100)
    classifier = SimpleNamespace(
        count=2,
        stacked=False,
        classes=lambda images: torch.full((len(images),), int(images is not reference.train)),
    )
    real_scores = reference.real_scores | {"class_coverage": 1.0, "class_divergence": 0.0}
    reference = replace(reference, classifier=classifier, real_scores=real_scores)
    scores = evaluate(lambda count, seed: digits.pixels[-count:], reference, resamples=2)
    (divergence,) = (each for each in scores if each.name == "class_divergence")
    assert (divergence.value, divergence.spread) == (np.inf, None)
