"""The data sets that torchvision can read and download."""

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
from dcgan.config.dataset import Dataset
from dcgan.data.decoding import Pixels
from dcgan.data.image_set import Collection, DataError
from dcgan.data.progress import Progress, silent
from dcgan.data.sources import stacked_mnist
from dcgan.data.sources.image_folder import collect_files
from tracking.atomic_files import atomic_write

_CELEBA_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"

IDX_FILES = tuple(
    f"{split}-{kind}-ubyte"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)
"""The four files of MNIST (LeCun et al. 1998) and of Fashion-MNIST (Xiao et al. 2017)."""


@dataclass(frozen=True)
class TorchvisionSet:
    """A data set of torchvision.

    Attributes:
        marker: Path that exists in every folder that holds the set.
        collect: Reads the set; takes the configuration, the folder, whether to download, and what
            to call while files are read.
    """

    marker: str
    collect: Callable[[Dataset, Path, bool, Progress], Collection]


def folder_has_set(name: str, folder: Path) -> bool:
    """Whether `folder` holds the files of the set `name`, in torchvision's layout.

    Those of MNIST and Fashion-MNIST may also lie, plain or gzipped, in the folder itself or in
    `raw`.
    """
    if name not in TORCHVISION_SETS:
        return False
    folder = folder.expanduser()
    return (folder / TORCHVISION_SETS[name].marker).exists() or (
        name in _IDX_CLASSES and _idx_files(folder) is not None
    )


def collect_torchvision_set(
    dataset: Dataset, folder: Path | None, download: bool, hashed: Progress = silent
) -> Collection:
    """The images of `dataset.split`.

    Args:
        dataset: Names one of `TORCHVISION_SETS`, and the split.
        folder: Where the files are; None for the cache.
        download: Whether torchvision may download them.
        hashed: Called while files are read to find out whether they are known.

    Raises:
        DataError: The files are missing and `download` is False, or reading or downloading
            them fails.
    """
    root = folder or cache_folder() / "torchvision"
    torchvision_set = TORCHVISION_SETS[dataset.name]
    if not download and not folder_has_set(dataset.name, root):
        raise DataError(
            f"{dataset.name} is not in {root}: there is no {root / torchvision_set.marker}.\n"
            f"Give the folder that holds {torchvision_set.marker} with --data (data= in Python), "
            "or let torchvision download it with --download (download=True)."
        )
    try:
        return torchvision_set.collect(dataset, root, download, hashed)
    except _failures() as error:
        action = "downloaded to" if download else "read from"
        advice = ""
        if download and dataset.name == "celeba":
            advice = f"\n{_instead_of_google(root)}"
        reason = str(error).strip().partition("\n")[0].rstrip(".:")
        raise DataError(f"{dataset.name} cannot be {action} {root}: {reason}.{advice}") from error


def _failures() -> tuple[type[Exception], ...]:
    """The exceptions of torchvision, and of gdown, with which it downloads CelebA."""
    from gdown import exceptions

    # Newer versions have the former as a base class; in older ones only the latter exists.
    of_gdown = getattr(exceptions, "DownloadError", exceptions.FileURLRetrievalError)
    return RuntimeError, OSError, EOFError, ImportError, of_gdown


def _instead_of_google(root: Path) -> str:
    """Advice if Google Drive refuses to send CelebA, as it does after a few downloads."""
    from torchvision.datasets import CelebA

    folder = root / CelebA.base_folder
    missing = [name for *_, name in CelebA.file_list if not (folder / name).exists()]
    return (
        "Google allows a file few downloads a day. Try again tomorrow, or get the files in a "
        f"browser:\nfollow {_CELEBA_PAGE} to Google Drive or Baidu Drive, put\n"
        f"  {', '.join(missing or ['(all are there)'])}\n"
        f"into {folder} and run the same command again: it uses the files that it finds there.\n"
        "The pictures alone are enough for a training on all of them: --data img_align_celeba.zip"
    )


def _collect_idx(dataset: Dataset, root: Path, download: bool, _: Progress) -> Collection:
    """MNIST and Fashion-MNIST: grey, 28x28; stacked MNIST: three digits in RGB."""
    from torchvision import datasets

    name = _IDX_CLASSES[dataset.name]
    folder = root
    if not download and not (root / TORCHVISION_SETS[dataset.name].marker).exists():
        folder = _in_torchvision_layout(_idx_files(root) or {}, name)
    parts = [
        getattr(datasets, name)(str(folder), train=train, download=download)
        for train in _train_flags(dataset)
    ]
    images = np.concatenate([part.data.numpy() for part in parts])
    labels = np.concatenate([part.targets.numpy() for part in parts])
    if dataset.name == "stacked-mnist":
        return _collect_arrays(root, *stacked_mnist.stack(images, labels), stacked_mnist.CLASSES)
    classes = tuple(name.partition(" - ")[0] for name in parts[0].classes)  # "0 - zero" in MNIST
    return _collect_arrays(root, images, labels, classes)


def _collect_cifar10(dataset: Dataset, root: Path, download: bool, _: Progress) -> Collection:
    """Krizhevsky 2009: RGB, 32x32."""
    from torchvision.datasets import CIFAR10

    parts = [CIFAR10(str(root), train, download=download) for train in _train_flags(dataset)]
    return _collect_arrays(
        root,
        np.concatenate([part.data for part in parts]),
        np.concatenate([np.asarray(part.targets) for part in parts]),
        tuple(parts[0].classes),
    )


def _collect_celeba(dataset: Dataset, root: Path, download: bool, hashed: Progress) -> Collection:
    """Liu et al. 2015: 202,599 aligned faces, RGB, 178x218."""
    from torchvision.datasets import CelebA

    faces: Any = CelebA(str(root), split=dataset.split, target_type=[], download=download)
    folder = root / "celeba" / "img_align_celeba"
    return collect_files(folder, sorted(faces.filename), (), None, hashed=hashed)


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
    """Paths of the four files, plain or gzipped, by name; None if one is missing."""
    for parent in (folder, folder / "raw"):
        files = {name: file for name in IDX_FILES for file in _plain_or_gzipped(parent / name)}
        if len(files) == len(IDX_FILES):
            return files
    return None


def _plain_or_gzipped(file: Path) -> Iterator[Path]:
    candidates = (file.with_name(f"{file.name}.gz"), file)
    return (candidate for candidate in candidates if candidate.is_file())


def _in_torchvision_layout(files: dict[str, Path], name: str) -> Path:
    """A folder in the cache with copies in torchvision's layout; the original may be read-only."""
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
