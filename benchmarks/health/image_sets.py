"""The image sets of the health runs, whole and broken, as npz files that any run can train on."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from dcgan.config.schema import Dataset
from dcgan.data.image_set import ImageSet
from dcgan.data.loading import load_images
from dcgan.data.scaling import to_unit_range

Arrays = Mapping[str, npt.NDArray[np.generic]]

COUNT = 4_096
"""Images of MNIST and of CIFAR-10: whole batches, so that every step can be replayed."""

PHOTOGRAPHS = 192
_NAN_IMAGES = 8


def write_image_sets(data: Path, folder: Path) -> None:
    """Write every set that is not there yet.

    Args:
        data: Holds `mnist`, `photographs`, and `cifar10` as a folder or as `cifar10.tar.xz`.
        folder: Where the npz files go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in _sets(data).items():
        file = folder / f"{name}.npz"
        if not file.exists():
            temporary = file.with_name(f"part-{file.name}")
            try:
                np.savez(temporary, **make())
            except Exception as error:  # the runs on the other sets can still be trained
                print(f"NO SET {name}: {type(error).__name__}: {error}", flush=True)
                continue
            temporary.replace(file)


def _sets(data: Path) -> dict[str, Callable[[], Arrays]]:
    loaded: dict[str, Arrays] = {}

    def whole(name: str) -> Arrays:
        if name not in loaded:
            makers = {
                "digits": _digits,
                "mnist": _mnist,
                "cifar": _cifar,
                "photographs": _photographs,
            }
            loaded[name] = makers[name](data)
        return loaded[name]

    def pixels(name: str) -> npt.NDArray[np.generic]:
        return whole(name)["images"]

    def first(name: str, count: int) -> Arrays:
        return {key: array[:count] for key, array in whole(name).items()}

    return {
        "mnist-4096": lambda: first("mnist", COUNT),
        "mnist-held-out": lambda: {k: a[COUNT:] for k, a in whole("mnist").items()},
        "mnist-96": lambda: first("mnist", 96),
        "mnist-20": lambda: {"images": pixels("mnist")[:20]},
        "mnist-4": lambda: {"images": pixels("mnist")[:4]},
        "mnist-constant": lambda: {"images": np.repeat(pixels("mnist")[:1], 500, axis=0)},
        "mnist-flat": lambda: {"images": np.full((500, 28, 28), 117, np.uint8)},
        "mnist-dark": lambda: {"images": pixels("mnist")[:COUNT] // 64},
        "mnist-16-bits": lambda: {"images": pixels("mnist")[:COUNT].astype(np.uint16) * 257},
        "digits-20": lambda: {"images": pixels("digits")[:20]},
        "digits-4": lambda: {"images": pixels("digits")[:4]},
        "cifar-4096": lambda: first("cifar", COUNT),
        "cifar-20": lambda: {"images": pixels("cifar")[:20]},
        "cifar-4": lambda: {"images": pixels("cifar")[:4]},
        "cifar-constant": lambda: {"images": np.repeat(pixels("cifar")[:1], 500, axis=0)},
        "cifar-dark": lambda: {"images": pixels("cifar")[:COUNT] // 64},
        "photographs": lambda: whole("photographs"),
        "photographs-20": lambda: first("photographs", 20),
        "photographs-flat": lambda: {"images": np.full((500, 32, 32, 3), 117, np.uint8)},
    }


def _digits(data: Path) -> Arrays:
    """All of scikit-learn's, which need no files."""
    images = load_images(Dataset(name="digits", image_size=32, channels=1))
    return {"images": images.pixels[:, 0].numpy()}


def _mnist(data: Path) -> Arrays:
    """COUNT training images, then 1,000 others; in MNIST's own order, which is random."""
    config = Dataset(name="mnist", path=str(data / "mnist"), image_size=28, channels=1)
    images = load_images(config)
    assert images.labels is not None
    return {
        "images": images.pixels[: COUNT + 1_000, 0].numpy(),
        "labels": images.labels[: COUNT + 1_000].numpy(),
    }


def _cifar(data: Path) -> Arrays:
    """As many images of each class as go into COUNT, the classes in turn."""
    by_class: dict[str, list[npt.NDArray[np.uint8]]] = {}
    each = -(-COUNT // 10)
    for name, content in _cifar_files(data):
        parts = PurePosixPath(name).parts
        if "test" not in parts and len(by_class.setdefault(parts[-2], [])) < each:
            by_class[parts[-2]].append(np.asarray(PIL.Image.open(content()).convert("RGB")))
    columns = [by_class[name] for name in sorted(by_class)]
    assert len(columns) == 10, sorted(by_class)
    images = np.stack([column[row] for row in range(each) for column in columns])
    return {"images": images[:COUNT], "labels": np.tile(np.arange(10), each)[:COUNT]}


def _cifar_files(data: Path):
    """Name and opener of each image, from a folder or from the archive."""
    folder = data / "cifar10"
    if folder.is_dir() and any(folder.rglob("*.jpg")):
        for file in sorted(folder.rglob("*.jpg")):
            yield file.relative_to(data).as_posix(), lambda file=file: file
        return
    archive = next(
        file for file in (data / "cifar10.tar.xz", folder / "cifar10.tar.xz") if file.is_file()
    )
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(".jpg"):
                yield member.name, lambda member=member: BytesIO(tar.extractfile(member).read())


def _photographs(data: Path) -> Arrays:
    config = Dataset(name="folder", path=str(data / "photographs"), image_size=32)
    pixels = load_images(config).pixels[:PHOTOGRAPHS]
    return {"images": pixels.permute(0, 2, 3, 1).contiguous().numpy()}


def transformed(images: ImageSet, transform: str | None) -> ImageSet:
    """Images as a fault of the loading code would give them, which no file can.

    Args:
        images: As they are loaded.
        transform: `never-scaled`: the networks see values from 0 to 255. `nan`: some images are
            not a number, as of memory that was never written. None changes nothing.
    """
    if transform is None:
        return images
    scaled = to_unit_range(images.pixels)
    if transform == "never-scaled":
        scaled = images.pixels.float()
        card = replace(
            images.card,
            mean=tuple(scaled.mean((0, 2, 3)).tolist()),
            std=tuple(scaled.std((0, 2, 3)).tolist()),
        )
        return replace(images, pixels=(scaled + 1) * 127.5, card=card)
    assert transform == "nan"
    rng = torch.Generator().manual_seed(0)
    scaled[torch.randperm(len(scaled), generator=rng)[:_NAN_IMAGES]] = torch.nan
    return replace(images, pixels=(scaled + 1) * 127.5)
