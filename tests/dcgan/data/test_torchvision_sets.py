"""MNIST, Fashion-MNIST, CIFAR-10 and CelebA through torchvision."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from gdown.exceptions import FileURLRetrievalError
from torchvision.datasets import CIFAR10, CelebA

from dcgan.config.dataset import Dataset
from dcgan.data.image_set import DataError
from dcgan.data.loading import load_images
from dcgan.data.sources.torchvision_sets import IDX_FILES, folder_has_set
from tests.dcgan.data.test_cache import save
from tests.support import REPOSITORY

pytestmark = pytest.mark.usefixtures("cache_folder")

SHARED = REPOSITORY.parent / "shared" / "data"
needs_mnist = pytest.mark.skipif(
    not (SHARED / "mnist").is_dir(), reason=f"real MNIST is not in {SHARED / 'mnist'}"
)


def idx(name: str, count: int) -> bytes:
    """A file in the IDX format of LeCun: magic number, sizes, bytes."""
    random = np.random.default_rng(len(name))
    if "images" in name:
        header = [0x0803, count, 28, 28]
        body = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    else:
        header = [0x0801, count]
        body = np.arange(count, dtype=np.uint8) % 10
    return np.array(header, ">i4").tobytes() + body.tobytes()


def write_idx(folder: Path, *, gzipped: bool) -> dict[str, bytes]:
    folder.mkdir(parents=True)
    files = {name: idx(name, 30 if name.startswith("train") else 10) for name in IDX_FILES}
    for name, content in files.items():
        if gzipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return files


def mnist(folder: Path, **settings: object) -> Dataset:
    return Dataset.model_validate(
        {"name": "mnist", "path": str(folder), "image_size": 28, "channels": 1, **settings}
    )


@pytest.mark.parametrize("inside", ["MNIST/raw", "raw", "."])
@pytest.mark.parametrize("gzipped", [False, True])
def test_the_files_of_mnist_are_found_where_people_have_them(
    tmp_path: Path, inside: str, gzipped: bool
):
    if inside == "MNIST/raw" and gzipped:
        pytest.skip("torchvision's own layout is unpacked")
    place = tmp_path / "data"
    files = write_idx(place / inside, gzipped=gzipped)
    (place / inside).chmod(0o555)
    assert folder_has_set("mnist", place)
    images = load_images(mnist(place, split="all"))
    expected = b"".join(
        files[name][16:] for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
    )
    assert images.pixels.numpy().tobytes() == expected
    assert images.card.classes == tuple("0123456789")
    assert images.card.class_sizes == (4,) * 10


@pytest.mark.parametrize(("split", "size"), [("train", 30), ("test", 10), ("all", 40)])
def test_the_split_is_that_of_the_configuration(tmp_path: Path, split: str, size: int):
    write_idx(tmp_path / "data", gzipped=False)
    images = load_images(mnist(tmp_path / "data", split=split, image_size=64, channels=3))
    assert images.pixels.shape == (size, 3, 64, 64)


def test_fashion_mnist_has_the_same_files_and_other_classes(tmp_path: Path):
    write_idx(tmp_path / "data", gzipped=True)
    card = load_images(mnist(tmp_path / "data", name="fashion-mnist")).card
    assert card.classes[0] == "T-shirt/top"
    assert card.size == 30


@needs_mnist
def test_real_mnist_is_read_byte_for_byte():
    images = load_images(mnist(SHARED / "mnist", split="all"))
    raw = SHARED / "mnist" / "raw"
    expected = b"".join(
        gzip.decompress((raw / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
        for name in ("train", "t10k")
    )
    assert images.pixels.shape == (70_000, 1, 28, 28)
    assert images.pixels.numpy().tobytes() == expected
    assert images.card.class_sizes[:2] == (6_903, 7_877)
    assert images.card.mean[0] == pytest.approx(2 * 0.1309 - 1, abs=1e-3)


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files of the real format with few images; only their checksums are not the real ones."""
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    folder = tmp_path / "data" / CIFAR10.base_folder
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    batches = {}
    for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list):
        batches[name] = random.integers(0, 256, (4, 3072), dtype=np.uint8)
        content = {"data": batches[name], "labels": [0, 1, 2, 9]}
        (folder / name).write_bytes(pickle.dumps(content))
    names = [f"class {number}" for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    images = load_images(
        Dataset(name="cifar10", path=str(tmp_path / "data"), split="train", image_size=32)
    )
    assert images.pixels.shape == (20, 3, 32, 32)
    first = torch.from_numpy(batches["data_batch_1"][0].reshape(3, 32, 32))
    assert torch.equal(images.pixels[0], first)
    assert images.card.class_sizes[9] == 5


@pytest.fixture
def celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six faces, in the layout of the real set."""
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    folder = tmp_path / "data" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.png" for number in range(1, 7)]
    for number, name in enumerate(names):
        save(folder / "img_align_celeba" / name, number)
    splits = [0, 0, 0, 1, 2, 2]  # train, valid, test
    tables = {
        "list_eval_partition.txt": [
            f"{name} {split}" for name, split in zip(names, splits, strict=True)
        ],
        "identity_CelebA.txt": [f"{name} 1" for name in names],
        "list_bbox_celeba.txt": ["6", "x y w h", *(f"{name} 1 1 1 1" for name in names)],
        "list_landmarks_align_celeba.txt": ["6", "x y", *(f"{name} 1 1" for name in names)],
        "list_attr_celeba.txt": ["6", "Smiling", *(f"{name} 1" for name in names)],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


@pytest.mark.parametrize(("split", "size"), [("train", 3), ("test", 2), ("all", 6)])
def test_celeba(celeba: Path, split: str, size: int):
    assert folder_has_set("celeba", celeba)
    images = load_images(Dataset(name="celeba", path=str(celeba), split=split, image_size=32))
    assert images.pixels.shape == (size, 3, 32, 32)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "celeba"])
def test_what_is_missing_is_said_and_nothing_is_fetched_without_a_word(
    tmp_path: Path, name: str, cache_folder: Path
):
    for settings in ({}, {"path": str(tmp_path)}):
        with pytest.raises(DataError) as refused:
            load_images(Dataset.model_validate({"name": name, "image_size": 32, **settings}))
        assert "--download" in str(refused.value)
        assert "--data" in str(refused.value)
        assert len(str(refused.value).splitlines()) < 6
    assert not cache_folder.exists()
    assert not folder_has_set(name, tmp_path)


def test_a_download_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens there
    with pytest.raises(DataError, match="cannot be downloaded"):
        load_images(mnist(tmp_path / "data"), download=True)


@pytest.mark.parametrize("error", [FileURLRetrievalError, RuntimeError])
def test_where_google_refuses_celeba_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    def refuse(**_: object) -> None:
        raise error("Too many users have viewed or downloaded this file recently.\nLater.")

    monkeypatch.setattr("gdown.download", refuse)
    folder = tmp_path / "celeba"
    folder.mkdir()
    (folder / "list_bbox_celeba.txt").write_text("is there")
    with pytest.raises(DataError) as refused:
        load_images(Dataset(name="celeba", path=str(tmp_path)), download=True)
    said = str(refused.value)
    assert "recently.\nGoogle allows a file few downloads a day" in said
    assert "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html" in said
    assert "img_align_celeba.zip, list_attr_celeba.txt, identity_CelebA.txt" in said
    assert "list_bbox_celeba.txt" not in said
    assert f"into {folder} and run the same command again" in said
    assert "--data img_align_celeba.zip" in said
    assert len(said.splitlines()) < 8


def test_damaged_files_say_so(tmp_path: Path):
    write_idx(tmp_path / "data" / "MNIST" / "raw", gzipped=False)
    damaged = tmp_path / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(DataError, match="mnist cannot be read"):
        load_images(mnist(tmp_path / "data"))


def test_a_folder_and_an_embedded_set_are_held_nowhere(tmp_path: Path):
    assert not folder_has_set("folder", tmp_path)
    assert not folder_has_set("digits", tmp_path)
