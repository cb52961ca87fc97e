"""D's features, and what linear classifiers make of features."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC
from torch.nn.functional import adaptive_max_pool2d

from dcgan.config.loading import load_config, parse_override
from dcgan.data.scaling import to_unit_range
from dcgan.models import build_networks
from dcgan.probes.labelled_images import labelled_images
from dcgan.probes.linear_probe import (
    convolutional_features,
    linear_accuracies,
    principal_components,
)
from dcgan.probes.row_space_svc import RowSpaceSVC
from dcgan.run_folder.trained_run import TrainedRun
from tests.dcgan.data.test_cache import save

SIZES = {  # maps of each convolution, by 4x4 or what is left of them
    ("dcgan", 32): (64 + 128 + 256) * 16,
    ("compact", 28): (32 + 64) * 16,
    ("dense", 28): (64 + 128) * 16,
    ("kim", 28): (64 + 128 + 256) * 16 + 512 * 4,
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("family", "size"), SIZES)
def test_all_convolutions_are_pooled_to_4x4(family: str, size: int) -> None:
    settings = (f"network.family={family}", f"dataset.image_size={size}", "dataset.channels=1")
    config = load_config("celeba", [parse_override(each) for each in settings])
    discriminator = build_networks(config, 0)[1].train()
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (300, 1, size, size), dtype=torch.uint8, generator=source)
    before = {name: each.clone() for name, each in discriminator.state_dict().items()}
    features = convolutional_features(discriminator, pixels)
    assert features.shape == (300, SIZES[family, size])
    assert discriminator.training
    for name, each in discriminator.state_dict().items():
        assert torch.equal(each, before[name]), "looking leaves batch norm as it was"

    discriminator.eval()
    activation = next(
        n for n, layer in enumerate(discriminator) if type(layer).__name__ == "LeakyReLU"
    )
    with torch.no_grad():
        first = discriminator[: activation + 1](to_unit_range(pixels[:7]))
    pooled = adaptive_max_pool2d(first, 4).flatten(1)
    np.testing.assert_allclose(features[:7, : pooled.shape[1]], pooled, rtol=1e-10, atol=1e-12)


def test_images_that_are_given_again_are_not_tested_on_as_unseen(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        save(folder / f"{number}.png", number)
    run = cast(TrainedRun, SimpleNamespace(config=load_config("digits", [])))
    split = labelled_images(run, tmp_path, tmp_path, seed=0)
    assert (len(split.train_labels), len(split.test_labels)) == (16, 4)


def test_classifiers_see_the_same_labels_and_tell_what_can_be_told() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 60)
    noise = random.normal(size=(240, 10)).astype(np.float32)
    told = noise.copy()
    told[np.arange(240), labels] += 20
    spaces = {"told": (told, told), "noise": (noise, noise), "told again": (told, told)}
    found = linear_accuracies(spaces, labels, labels, [5, 20], splits=3)
    by = {(each.space, each.labels_per_class, each.split): each.accuracy for each in found}
    assert len(by) == 3 * 2 * 3
    assert all(value > 0.95 for (name, _, _), value in by.items() if name == "told")
    assert all(0.2 < value < 0.5 for (name, _, _), value in by.items() if name == "noise")
    assert {each.dimension for each in found} == {10}
    shares: list[float] = []
    again = linear_accuracies(spaces, labels, labels, [5, 20], splits=3, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == len(spaces) * (1 + 2 * 3), "after each search and each fit"
    assert again == found
    assert len({by["noise", 5, split] for split in range(3)}) > 1, "splits differ"


def test_one_label_a_class_is_enough_to_begin_with() -> None:
    points = np.eye(3, dtype=np.float32) * 10
    labels = np.arange(3)
    (found,) = linear_accuracies({"points": (points, points)}, labels, labels, [1], splits=1)
    assert found.accuracy == 1


def test_features_are_scaled_only_where_that_helps() -> None:
    """Like pixels at a border: standardised, hundreds that hardly vary would drown the others."""
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 100)
    told = random.normal(size=(400, 4)).astype(np.float32)
    told[np.arange(400), labels] += 3
    faint = random.normal(0, 0.01, size=(400, 600)).astype(np.float32)
    features = np.concatenate((told, faint), axis=1)
    train, test = features[::2], features[1::2]
    (found,) = linear_accuracies({"pixels": (train, test)}, labels[::2], labels[1::2], [50], 1)
    assert found.accuracy > 0.85


def test_principal_components_are_those_of_the_training_images() -> None:
    random = np.random.default_rng(0)
    train = random.normal(size=(200, 5)).astype(np.float32) * [10, 1, 1, 1, 0.1]
    project = principal_components(train.astype(np.float32))
    along = project(np.array([[10, 0, 0, 0, 0], [-10, 0, 0, 0, 0]], np.float32))
    assert abs(along[0, 0] - along[1, 0]) == pytest.approx(20, rel=0.01)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_svm_in_the_space_of_the_images_is_the_same_svm(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), 12)
    features = rng.normal(size=(len(labels), 400)) + labels[:, None] / 10
    features[1] = features[0]  # the images span a space of less than their number
    others = rng.normal(size=(200, 400)) + 0.1
    settings = {"C": 0.01, "dual": "auto", "random_state": 0, "tol": 1e-3}
    whole = LinearSVC(**settings).fit(features, labels)
    fast = RowSpaceSVC(**settings).fit(features, labels)
    assert fast.n_iter_ == whole.n_iter_
    np.testing.assert_allclose(fast.coef_, whole.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(fast.predict(others), whole.predict(others))
    assert fast.dual == "auto"


def test_more_images_than_features_need_no_other_space() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(50, 5)), np.repeat([0, 1], 25)
    fast, whole = RowSpaceSVC(dual="auto"), LinearSVC(dual="auto")
    np.testing.assert_array_equal(
        fast.fit(features, labels).coef_, whole.fit(features, labels).coef_
    )
