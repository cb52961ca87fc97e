"""Data sets as uint8 images in memory: decoded once, scaled on the training device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps
import platformdirs
import torch
from torch import Tensor
from torchvision.datasets import MNIST

from dcgan.config import Dataset
from tracking.errors import UserError


class DataError(UserError):
    """Data that cannot be used, in words for the user."""


@dataclass(frozen=True)
class DatasetCard:
    """What a run says of its data; each field is tracked as `config/dataset/<field>`.

    size: number of images. classes: their names, empty where there are no labels.
    mean, std: of all pixels of a channel, scaled to [-1, 1].
    fingerprint: SHA-256 of the shape and the pixels as the networks see them.
    """

    path: str
    size: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    transforms: str
    fingerprint: str


@dataclass(frozen=True)
class ImageSet:
    """pixels: uint8 (N, C, H, W), values 0 to 255."""

    pixels: Tensor
    card: DatasetCard


Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many images are decoded, and of how many."""


def silent(done: int, total: int) -> None:
    """The Progress that says nothing."""


def load_images(
    dataset: Dataset, *, download: bool = False, progress: Progress = silent
) -> ImageSet:
    """Load a data set at the size and with the channels that `dataset` asks for.

    Raises DataError where there is nothing to load or a file is no readable image.
    """
    if dataset.name == "digits":
        return _load_digits(dataset)
    if dataset.name == "mnist":
        return _load_mnist(dataset, download)
    if dataset.path is None:
        raise DataError(f'name = "{dataset.name}" needs dataset.path: give the folder with --data')
    return _load_folder(dataset, Path(str(dataset.path)).expanduser())


def scale(pixels: Tensor) -> Tensor:
    """uint8 values 0 to 255 to floats in [-1, 1], the range of G's tanh."""
    return pixels.to(torch.get_default_dtype()).div_(127.5).sub_(1.0)


def _load_digits(dataset: Dataset) -> ImageSet:
    """The 1,797 8x8 digits of scikit-learn (Alpaydin and Kaynak 1998), enlarged."""
    from sklearn.datasets import load_digits

    shades = load_digits().images  # 0 to 16
    images = [
        PIL.Image.fromarray(image).resize((dataset.image_size,) * 2, PIL.Image.Resampling.BICUBIC)
        for image in (shades * (255 / 16)).round().astype(np.uint8)
    ]
    return _image_set(
        dataset,
        images,
        path="sklearn.datasets.load_digits",
        classes=tuple("0123456789"),
        transforms=(f"resize {dataset.image_size} (bicubic)",),
    )


def cache_folder() -> Path:
    """Where what can be made again is kept: $DCGAN_CACHE, or the user's cache."""
    return Path(os.environ.get("DCGAN_CACHE") or platformdirs.user_cache_path("dcgan-lab"))


def holds(name: str, folder: Path) -> bool:
    """Whether `folder` holds the files of the data set `name`, as torchvision lays them out."""
    return name == "mnist" and (folder / "MNIST" / "raw").is_dir()


def _load_mnist(dataset: Dataset, download: bool) -> ImageSet:
    """The 60,000 and 10,000 digits of LeCun et al. 1998, through torchvision."""
    root = Path(dataset.path).expanduser() if dataset.path else cache_folder() / "torchvision"
    splits = {"train": [True], "test": [False], "all": [True, False]}[dataset.split]
    try:
        parts = [MNIST(str(root), train=train, download=download) for train in splits]
    except RuntimeError as error:
        raise DataError(
            f"MNIST is not in {root}: its files should lie in {root / 'MNIST' / 'raw'}.\n"
            "Give the folder that holds MNIST/raw with --data, or fetch it with --download."
        ) from error
    shades = torch.cat([part.data for part in parts]).numpy()
    size = (dataset.image_size,) * 2
    images = [PIL.Image.fromarray(image) for image in shades]
    if size != shades.shape[1:]:
        images = [image.resize(size, PIL.Image.Resampling.BILINEAR) for image in images]
    return _image_set(
        dataset,
        images,
        path=str(root.resolve()),
        classes=tuple("0123456789"),
        transforms=(f"resize {dataset.image_size} (bilinear)",) if size != shades.shape[1:] else (),
    )


def _load_folder(dataset: Dataset, folder: Path) -> ImageSet:
    """All images in a folder and its subfolders, in the order of their paths."""
    if not folder.is_dir():
        reason = "it is a file, not a folder" if folder.exists() else "there is no such folder"
        raise DataError(f"No images can be read from {folder}: {reason}.")
    suffixes = PIL.Image.registered_extensions()
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in suffixes)
    if not files:
        raise DataError(
            f"The folder {folder} holds no images.\n"
            "It should hold, itself or in subfolders, files such as .jpg, .png or .webp."
        )
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        images = list(pool.map(lambda file: _read_image(file, dataset.image_size), files))
    size = dataset.image_size
    transforms = (f"resize shorter side {size} (bilinear)", f"centre-crop {size}")
    return _image_set(dataset, images, str(folder.resolve()), (), transforms)


def _read_image(file: Path, size: int) -> PIL.Image.Image:
    try:
        with PIL.Image.open(file) as image:
            upright = PIL.ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(
            f"{file} is no image that can be read: {error}.\n"
            "Repair it or take it out of the folder."
        ) from error
    shorter = min(upright.size)
    whole = tuple(round(side * size / shorter) for side in upright.size)
    left, top = (whole[0] - size) // 2, (whole[1] - size) // 2
    resized = upright.resize((whole[0], whole[1]), PIL.Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _image_set(
    dataset: Dataset,
    images: list[PIL.Image.Image],
    path: str,
    classes: tuple[str, ...],
    transforms: tuple[str, ...],
) -> ImageSet:
    mode = "L" if dataset.channels == 1 else "RGB"
    array = np.stack([np.asarray(image.convert(mode)) for image in images])
    pixels = torch.from_numpy(array.reshape(*array.shape[:3], dataset.channels))
    pixels = pixels.permute(0, 3, 1, 2).contiguous()
    std, mean = torch.std_mean(pixels.double().div_(127.5).sub_(1.0), dim=(0, 2, 3), correction=0)
    card = DatasetCard(
        path=path,
        size=len(images),
        classes=classes,
        mean=tuple(round(value, 6) for value in mean.tolist()),
        std=tuple(round(value, 6) for value in std.tolist()),
        transforms=", ".join((*transforms, "grey" if mode == "L" else "RGB", "scale to [-1, 1]")),
        fingerprint=_fingerprint(pixels),
    )
    return ImageSet(pixels, card)


def _fingerprint(pixels: Tensor) -> str:
    digest = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    digest.update(pixels.numpy().data)
    return f"sha256:{digest.hexdigest()}"
