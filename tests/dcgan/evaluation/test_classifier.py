"""The classifier is the same however it was trained or stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dcgan.cache_dir import cache_folder
from dcgan.data.image_set import DatasetCard, ImageSet
from dcgan.evaluation.features import classifier as module
from dcgan.evaluation.features.classifier import load_classifier
from dcgan.evaluation.features.feature_cache import cached_features
from dcgan.evaluation.features.feature_space import FeatureSpace, own_space

CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """1,000 labelled images, uint8 (1000, 1, 28, 28), in an empty cache; 30 steps train on them."""
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "IMAGES_SEEN", 30 * 128)
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (1_000, 1, 28, 28), dtype=torch.uint8, generator=rng)
    labels = torch.randint(0, 2, (1_000,), generator=rng)
    card = DatasetCard("noise", 1_000, ("a", "b"), (500, 500), (0.0,), (1.0,), "", "noise")
    return ImageSet(pixels, card, labels)


def test_threads_train_the_same_weights(images: ImageSet) -> None:
    digests, threads = [], torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            digests.append(load_classifier(images, CPU).digest)
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
        for file in (cache_folder() / "classifiers").glob("*.pt"):
            file.unlink()
    assert digests[0] == digests[1]


def test_the_id_is_that_of_the_weights_and_not_of_the_file(images: ImageSet) -> None:
    first = load_classifier(images, CPU)
    (file,) = (cache_folder() / "classifiers").glob("*.pt")
    saved = torch.load(file, weights_only=True)
    torch.save({"accuracy": saved["accuracy"], "weights": saved["weights"], "note": "new"}, file)
    assert load_classifier(images, CPU).digest == first.digest
    saved["weights"]["output.bias"][0] += 1e-6
    torch.save(saved, file)
    assert load_classifier(images, CPU).digest != first.digest


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_file_is_written_anew(images: ImageSet, damage: str) -> None:
    first = load_classifier(images, CPU)
    (file,) = (cache_folder() / "classifiers").glob("*.pt")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF  # a byte of a weight
    file.write_bytes(content if damage == "changed" else content[: len(content) // 2])
    assert load_classifier(images, CPU).digest == first.digest
    assert torch.load(file, weights_only=True)["accuracy"] == first.accuracy


@pytest.mark.parametrize("place", [4, 6, 8], ids=["version", "encrypted", "compression"])
def test_damaged_features_are_computed_anew(images: ImageSet, place: int) -> None:
    """place: A byte of the entry in the zip file's directory, after its signature."""
    space = FeatureSpace("x_", lambda pixels: pixels.flatten(1).float(), CPU, "", "pixels")
    features = cached_features(space, images.pixels[:9], "a", "all")
    (file,) = (cache_folder() / "features").glob("*.npz")
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 2 + place] ^= 0xA1
    file.write_bytes(content)
    assert torch.equal(cached_features(space, images.pixels[:9], "a", "all"), features)


def test_features_of_real_images_are_kept_by_images_and_network(images: ImageSet) -> None:
    computed: list[int] = []

    def features(network: str, fingerprint: str, count: int) -> torch.Tensor:
        space = FeatureSpace("", lambda pixels: pixels.flatten(1).float(), CPU, "", network)
        return cached_features(
            space, images.pixels[:count], fingerprint, "in order", computed.append
        )

    first = features("one", "these", 30)
    assert torch.equal(features("one", "these", 20), first[:20])
    assert computed == [30]
    assert torch.equal(features("one", "these", 50)[:30], first)
    assert computed == [30, 20], "only the new ones"
    features("two", "these", 20)
    features("one", "others", 20)
    assert computed == [30, 20, 20, 20]
    for file in (cache_folder() / "features").iterdir():
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert torch.equal(features("one", "these", 30), first), "a damaged file is computed again"


def test_a_few_labels_are_too_few_and_that_is_said(images: ImageSet) -> None:
    assert images.labels is not None
    few = ImageSet(images.pixels[:450], images.card, images.labels[:450])
    space = own_space(few, CPU)
    assert space.prefix == "random_"
    assert "450 labelled images are too few" in space.description
    unlabelled = ImageSet(images.pixels, images.card)
    assert "no labels" in own_space(unlabelled, CPU).description
