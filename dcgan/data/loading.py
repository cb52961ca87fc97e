"""Loads a data set by the name that a configuration gives it."""

from __future__ import annotations

from pathlib import Path

from dcgan.config.schema import Dataset
from dcgan.data.cache import load_cached
from dcgan.data.decoding import Form
from dcgan.data.image_set import DataError, ImageSet, Progress, silent
from dcgan.data.sources.embedded import load_digits, load_sky
from dcgan.data.sources.image_folder import find_folder
from dcgan.data.sources.torchvision_sets import TORCHVISION_SETS, find_torchvision_set


def load_images(
    dataset: Dataset, *, download: bool = False, progress: Progress = silent
) -> ImageSet:
    """Load a data set at the size and with the channels that `dataset` asks for.

    What lies in files is decoded once, into the cache, and from then on read from there.
    download: whether torchvision may fetch what is missing. progress: of the decoding.
    Raises DataError where there is nothing to load, where more files than
    `dataset.max_unreadable` are no readable images, or where the cache cannot be written.
    """
    if dataset.name == "digits":
        return load_digits(dataset)
    if dataset.name == "sky":
        return load_sky(dataset)
    path = None if dataset.path is None else Path(dataset.path).expanduser()
    if dataset.name in TORCHVISION_SETS:
        collection = find_torchvision_set(dataset, path, download)
    elif path is None:
        raise DataError(
            'name = "folder" needs dataset.path: give the folder of images with --data.'
        )
    else:
        collection = find_folder(path)
    form = Form(dataset.image_size, dataset.channels, dataset.fit)
    return load_cached(collection, form, dataset.max_unreadable, progress)


def load_held_out(dataset: Dataset, folder: str | None) -> ImageSet | None:
    """Images of the kind of `dataset` that are not trained on; None where there are none.

    folder: of such images; None for the test split of a set that is trained on its train split.
    Raises DataError, as `load_images`.
    """
    if folder is not None:
        return load_images(dataset.model_copy(update={"name": "folder", "path": folder}))
    if dataset.name not in TORCHVISION_SETS or dataset.split != "train":
        return None
    return load_images(dataset.model_copy(update={"split": "test"}))
