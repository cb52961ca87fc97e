"""The data sets that need no files: real digits and a synthetic sky."""

from __future__ import annotations

from functools import cache
from importlib.metadata import distribution

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from dcgan.config.dataset import Dataset
from dcgan.data.decoding import Pixels
from dcgan.data.image_set import DatasetCard, ImageSet, class_sizes, pixel_statistics


def load_digits(dataset: Dataset) -> ImageSet:
    """The 1,797 8x8 digits of scikit-learn (Alpaydin and Kaynak 1998), enlarged."""
    rows = _digits()
    shades = (rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)  # from 0 to 16
    return _image_set(
        dataset,
        shades,
        PIL.Image.Resampling.BICUBIC,
        path="sklearn.datasets.load_digits",
        classes=tuple("0123456789"),
        labels=rows[:, -1].astype(np.int64),
        transforms=f"resize {_size(dataset)} (bicubic)",
    )


@cache
def _digits() -> npt.NDArray[np.uint8]:
    """Pixels and class of a digit in each row; importing `sklearn.datasets` takes a second."""
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    return np.loadtxt(str(file), np.uint8, delimiter=",")


def load_sky(dataset: Dataset) -> ImageSet:
    """200 synthetic astronomical images, rendered by this project."""
    from dcgan.data.sources.sky import SKY_CLASSES

    pixels, labels = _sky()
    return _image_set(
        dataset,
        pixels,
        PIL.Image.Resampling.BILINEAR,
        path="dcgan.data.sky (synthetic)",
        classes=SKY_CLASSES,
        labels=labels,
        transforms=f"render 64, resize {_size(dataset)} (bilinear)",
    )


@cache
def _sky() -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The images and their classes, which take a second to render."""
    from dcgan.data.sources.sky import render_sky

    return render_sky()


def _size(dataset: Dataset) -> str:
    height, width = dataset.sides
    return str(width) if height == width else f"{width}x{height}"


def _image_set(
    dataset: Dataset,
    images: Pixels,
    resampling: PIL.Image.Resampling,
    *,
    path: str,
    classes: tuple[str, ...],
    labels: npt.NDArray[np.int64],
    transforms: str,
) -> ImageSet:
    """The images (N, H, W) or (N, H, W, 3), resized and with the channels of `dataset`."""
    (height, width), mode = dataset.sides, "L" if dataset.channels == 1 else "RGB"
    resized = [
        PIL.Image.fromarray(image).resize((width, height), resampling).convert(mode)
        for image in images
    ]
    array = np.stack([np.asarray(image) for image in resized])
    array = array.reshape(len(images), height, width, dataset.channels).transpose(0, 3, 1, 2)
    pixels = np.ascontiguousarray(array)
    shape = (len(pixels), dataset.channels, height, width)
    statistics = pixel_statistics([pixels], shape)
    card = DatasetCard(
        path=path,
        size=len(pixels),
        classes=classes,
        class_sizes=class_sizes(labels, classes),
        mean=statistics.mean,
        std=statistics.std,
        transforms=f"{transforms}, {'grey' if mode == 'L' else 'RGB'}, scale to [-1, 1]",
        fingerprint=statistics.fingerprint,
        duplicates=statistics.duplicates,
    )
    return ImageSet(torch.from_numpy(pixels), card, torch.from_numpy(labels.astype(np.int64)))
