"""The data sets that torchvision knows how to read, and to download."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan.cache_dir import cache_folder
from dcgan.config.schema import Dataset
from dcgan.data.decoding import Pixels
from dcgan.data.image_set import Collection, DataError
from dcgan.data.sources import stacked_mnist
from dcgan.data.sources.image_folder import collect_files
from tracking.atomic_files import atomic_write

IDX_FILES = tuple(
    f"{split}-{kind}-ubyte"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)
"""The four files of MNIST (LeCun et al. 1998) and of Fashion-MNIST (Xiao et al. 2017)."""


@dataclass(frozen=True)
class TorchvisionSet:
    """marker: what lies in a folder that holds the set."""

    marker: str
    collect: Callable[[Dataset, Path, bool], Collection]


def holds(name: str, folder: Path) -> bool:
    """Whether `folder` holds the files of the set `name`.

    As torchvision lays them out; those of MNIST and Fashion-MNIST also plain or gzipped in
    the folder itself or in `raw`.
    """
    if name not in TORCHVISION_SETS:
        return False
    folder = folder.expanduser()
    return (folder / TORCHVISION_SETS[name].marker).exists() or (
        name in _IDX_CLASSES and _idx_files(folder) is not None
    )


def find_torchvision_set(dataset: Dataset, folder: Path | None, download: bool) -> Collection:
    """The images of `dataset.split`, below `folder` or in the cache.

    Raises DataError where they are not there and `download` is False, or fails.
    """
    root = folder or cache_folder() / "torchvision"
    found = TORCHVISION_SETS[dataset.name]
    if not download and not holds(dataset.name, root):
        raise DataError(
            f"{dataset.name} is not in {root}: there is no {root / found.marker}.\n"
            f"Give the folder that holds {found.marker} with --data, "
            "or let torchvision fetch it: --download."
        )
    try:
        return found.collect(dataset, root, download)
    except (RuntimeError, OSError, EOFError, ImportError) as error:
        done = "fetched to" if download else "read from"
        raise DataError(f"{dataset.name} cannot be {done} {root}: {error}") from error


def _collect_idx(dataset: Dataset, root: Path, download: bool) -> Collection:
    """MNIST and Fashion-MNIST: grey, 28x28; stacked MNIST: three digits in RGB."""
    from torchvision import datasets

    name = _IDX_CLASSES[dataset.name]
    where = root
    if not download and not (root / TORCHVISION_SETS[dataset.name].marker).exists():
        where = _laid_out(_idx_files(root) or {}, name)
    parts = [
        getattr(datasets, name)(str(where), train=train, download=download)
        for train in _train_flags(dataset)
    ]
    images = np.concatenate([part.data.numpy() for part in parts])
    labels = np.concatenate([part.targets.numpy() for part in parts])
    if dataset.name == "stacked-mnist":
        return _collect_arrays(root, *stacked_mnist.stack(images, labels), stacked_mnist.CLASSES)
    classes = tuple(name.partition(" - ")[0] for name in parts[0].classes)  # "0 - zero" in MNIST
    return _collect_arrays(root, images, labels, classes)


def _collect_cifar10(dataset: Dataset, root: Path, download: bool) -> Collection:
    """Krizhevsky 2009: RGB, 32x32."""
    from torchvision.datasets import CIFAR10

    parts = [CIFAR10(str(root), train, download=download) for train in _train_flags(dataset)]
    return _collect_arrays(
        root,
        np.concatenate([part.data for part in parts]),
        np.concatenate([np.asarray(part.targets) for part in parts]),
        tuple(parts[0].classes),
    )


def _collect_celeba(dataset: Dataset, root: Path, download: bool) -> Collection:
    """Liu et al. 2015: 202,599 aligned faces, RGB, 178x218."""
    from torchvision.datasets import CelebA

    faces: Any = CelebA(str(root), split=dataset.split, target_type=[], download=download)
    folder = root / "celeba" / "img_align_celeba"
    return collect_files(folder, sorted(faces.filename), (), None)


def _collect_arrays(
    root: Path, images: Pixels, labels: Any, classes: tuple[str, ...]
) -> Collection:
    def content() -> str:
        digest = hashlib.sha256(repr(images.shape).encode())
        digest.update(np.ascontiguousarray(images).data)
        return digest.hexdigest()

    return Collection(
        path=str(root.resolve()),
        images=images,
        names=[f"image {number}" for number in range(len(images))],
        classes=classes,
        labels=labels.astype(np.int64),
        content=content,
    )


def _train_flags(dataset: Dataset) -> list[bool]:
    return {"train": [True], "test": [False], "all": [True, False]}[dataset.split]


def _idx_files(folder: Path) -> dict[str, Path] | None:
    """Where the four files lie, plain or gzipped; None where one is missing."""
    for place in (folder, folder / "raw"):
        found = {name: file for name in IDX_FILES for file in _plain_or_gzipped(place / name)}
        if len(found) == len(IDX_FILES):
            return found
    return None


def _plain_or_gzipped(file: Path) -> Iterator[Path]:
    candidates = (file.with_name(f"{file.name}.gz"), file)
    return (candidate for candidate in candidates if candidate.is_file())


def _laid_out(files: dict[str, Path], name: str) -> Path:
    """The same files as torchvision wants them, in the cache: their own folder may be read-only."""
    signature = hashlib.sha256(name.encode())
    for file in files.values():
        status = file.stat()
        signature.update(f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    root = cache_folder() / "torchvision" / signature.hexdigest()[:16]
    raw = root / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for plain, file in files.items():
        if not (raw / plain).exists():
            opener = gzip.open if file.suffix == ".gz" else open
            with (
                opener(file, "rb") as source,
                atomic_write(raw / plain) as temporary,
                temporary.open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
    return root


_IDX_CLASSES = {"mnist": "MNIST", "stacked-mnist": "MNIST", "fashion-mnist": "FashionMNIST"}

TORCHVISION_SETS = {
    "mnist": TorchvisionSet("MNIST/raw/train-images-idx3-ubyte", _collect_idx),
    "stacked-mnist": TorchvisionSet("MNIST/raw/train-images-idx3-ubyte", _collect_idx),
    "fashion-mnist": TorchvisionSet("FashionMNIST/raw/train-images-idx3-ubyte", _collect_idx),
    "cifar10": TorchvisionSet("cifar-10-batches-py", _collect_cifar10),
    "celeba": TorchvisionSet("celeba/img_align_celeba", _collect_celeba),
}
