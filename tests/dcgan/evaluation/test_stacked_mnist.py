"""Stacked MNIST: what it is made of, and how the modes of a generator are counted."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate

from dcgan.data.image_set import DatasetCard, ImageSet
from dcgan.data.loading import load_images
from dcgan.data.sources import stacked_mnist
from dcgan.data.sources.stacked_mnist import CLASSES, stack, unstack
from dcgan.evaluation import evaluator
from dcgan.evaluation.evaluator import evaluate, make_reference
from dcgan.evaluation.features import classifier as classifier_module
from dcgan.evaluation.features.classifier import load_classifier
from dcgan.evaluation.features.feature_space import own_space
from tests.dcgan.data.test_torchvision_sets import mnist, write_idx
from tracking.metric_directions import METRIC_DIRECTIONS

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked_mnist, "COUNT", 6_000)


def digit_stacks() -> ImageSet:
    """Of scikit-learn's digits at 16x16."""
    found = load_digits()
    grey = torch.tensor(found.images)[:, None] * (255 / 16)
    digits = interpolate(grey, size=16, mode="bilinear").round().byte()[:, 0].numpy()
    pixels, labels = stack(digits, found.target.astype(np.int64))
    card = DatasetCard("here", len(pixels), CLASSES, (), (), (), "", "sha256:stacked digits")
    return ImageSet(torch.from_numpy(pixels).permute(0, 3, 1, 2), card, torch.from_numpy(labels))


def test_channels_are_digits_and_labels_say_which(small: None) -> None:
    digits = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    pixels, labels = stack(digits, np.arange(10))
    assert pixels.shape == (6_000, 28, 28, 3)
    assert (labels == pixels[:, 5, 5].astype(np.int64) @ [100, 10, 1]).all()
    assert len(np.unique(labels)) > 980
    again, _ = stack(digits, np.arange(10))
    assert (again == pixels).all(), "the same stacks always"


def test_the_set_is_made_of_mnists_files(small: None, tmp_path: Path) -> None:
    write_idx(tmp_path / "data", gzipped=True)
    images = load_images(mnist(tmp_path / "data", name="stacked-mnist", split="all", channels=3))
    assert images.pixels.shape == (6_000, 3, 28, 28)
    assert images.card.classes == CLASSES
    single = unstack(images, 5)
    assert single is not None
    assert single.pixels.shape == (15, 1, 28, 28)
    assert torch.equal(single.pixels[4, 0], images.pixels[1, 1])
    assert images.labels is not None
    assert single.labels is not None
    assert int(images.labels[0]) == int(single.labels[:3] @ torch.tensor([100, 10, 1]))
    assert unstack(load_images(mnist(tmp_path / "data")), 5) is None


def test_modes_are_counted_over_the_channels(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_module, "IMAGES_SEEN", 20_000)  # as sure of these few digits
    # Neither modes nor precision: the metrics that take longest are left out.
    for name in ("sliced_wasserstein_distance", "kernel_distance", "multiscale_similarity"):
        monkeypatch.setattr(evaluator, name, lambda *images: 0.0)
    images = digit_stacks()
    classifier = load_classifier(images, CPU)
    assert classifier.count == 1_000
    assert images.labels is not None
    right = classifier.classes(images.pixels[:1_000]) == images.labels[:1_000]
    assert right.double().mean() > 0.9
    assert classifier.accuracy > 0.97

    space = own_space(images, CPU)
    assert space.features(images.pixels[:2]).shape == (2, 384)
    assert "digits of each channel" in space.description
    reference = make_reference(images, None, [space], 3_000)

    def one_mode(count: int, seed: int) -> Tensor:
        return images.pixels[:1].expand(count, -1, -1, -1)

    def all_modes(count: int, seed: int) -> Tensor:
        return images.pixels[:count]

    def named(draw) -> dict[str, float]:
        return {score.name: score.value for score in evaluate(draw, reference, resamples=1)}

    collapsed, whole = named(one_mode), named(all_modes)
    assert collapsed["modes"] == 1
    assert collapsed["mode_divergence"] == pytest.approx(math.log(1_000))
    assert whole["modes"] > 900
    assert whole["mode_divergence"] < 0.3
    assert reference.real_scores["modes"] > 900
    measured = {name.removeprefix(space.prefix) for name in reference.real_scores}
    assert measured == METRIC_DIRECTIONS.keys(), "every metric has a direction, and no other has"
    assert whole["lenet_fid"] < collapsed["lenet_fid"]

    def noise(count: int, seed: int) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (count, 3, 16, 16), generator=source, dtype=torch.uint8)

    scores = named(noise)
    assert scores["lenet_precision"] < 0.5
    assert not {"modes", "mode_divergence"} & scores.keys(), "a classifier finds modes in noise"
    assert scores["class_coverage"] > 0.002, "as this one does"
