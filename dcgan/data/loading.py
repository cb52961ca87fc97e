"""Loads a data set by its name in the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dcgan.config.dataset import Dataset
from dcgan.data.cache import load_cached
from dcgan.data.decoding import ImageFormat
from dcgan.data.image_set import Collection, DataError, ImageSet
from dcgan.data.progress import LoadingProgress, Progress, loading_progress
from dcgan.data.sources.archives import collect_archive, is_archive
from dcgan.data.sources.embedded import load_digits, load_sky
from dcgan.data.sources.file_extensions import unreadable_extension_warnings
from dcgan.data.sources.image_folder import collect_folder
from dcgan.data.sources.parquet import collect_parquet, parquet_files
from dcgan.data.sources.saved_dataset import collect_saved_dataset, is_saved_dataset
from dcgan.data.sources.splits import NoSplitError
from dcgan.data.sources.torchvision_sets import TORCHVISION_SETS, collect_torchvision_set


def load_images(
    dataset: Dataset,
    *,
    download: bool = False,
) -> ImageSet:
    """Load a data set in the size and with the channels that `dataset` asks for.

    Image files are decoded once, into the cache, and read from there afterwards. To show the
    progress, see `progress.showing_images`.

    Args:
        dataset: The section of the recipe.
        download: Whether torchvision may download missing files.

    Raises:
        DataError: There is nothing to load, more than `dataset.max_unreadable` files are not
            readable images, or the cache cannot be written.
    """
    with loading_progress() as progress:
        images = _load(dataset, download, progress)
    if not dataset.flip:
        return images
    transforms = f"{images.card.transforms}, mirror at random"
    return replace(images, card=replace(images.card, transforms=transforms))


def _load(dataset: Dataset, download: bool, progress: LoadingProgress) -> ImageSet:
    if dataset.name == "digits":
        return load_digits(dataset)
    if dataset.name == "sky":
        return load_sky(dataset)
    path = None if dataset.path is None else Path(dataset.path).expanduser()
    if dataset.name in TORCHVISION_SETS:
        collection = collect_torchvision_set(dataset, path, download, progress.hashed)
    elif path is None:
        raise DataError(
            'name = "folder" needs dataset.path: give the folder of images with --data '
            "(data= in Python)."
        )
    else:
        collection = _collect(path, dataset.split, progress.hashed)
    image_format = ImageFormat(
        dataset.sides,
        dataset.channels,
        dataset.fit,
        dataset.value_range,
        dataset.background,
        dataset.max_pixels,
    )
    images = load_cached(collection, image_format, dataset.max_unreadable, progress.decoded)
    # Not cached, because the cached set depends only on the images.
    warnings = (*images.card.warnings, *unreadable_extension_warnings(collection.left_out))
    card = replace(images.card, warnings=warnings)
    return replace(images, card=card, left_out=collection.left_out)


def _collect(path: Path, split: str, hashed: Progress) -> Collection:
    """Images of a user, of any kind; parquet files only if there are no image files."""
    if path.is_file() and is_archive(path):
        return collect_archive(path, split, hashed)
    if path.is_file() and parquet_files(path):
        return collect_parquet(path, split, hashed)
    if is_saved_dataset(path):
        return collect_saved_dataset(path, split, hashed)
    try:
        return collect_folder(path, split, hashed)
    except DataError:
        if path.is_dir() and parquet_files(path):
            return collect_parquet(path, split, hashed)
        raise


def load_held_out(dataset: Dataset, folder: str | None) -> ImageSet | None:
    """Load images like those of `dataset` that are not trained on.

    Args:
        dataset: What is trained on.
        folder: A folder of held-out images, of which those of the same split count if they are in
            splits and one of them has its name; if None, the test split of a set that is trained
            on its train split.

    Returns:
        The images; None if there are none.

    Raises:
        DataError: As `load_images`.
    """
    if folder is not None:
        held_out = dataset.model_copy(update={"name": "folder", "path": folder})
        try:
            return load_images(held_out)
        except NoSplitError:  # such as `train` of what holds only `test`
            return load_images(held_out.model_copy(update={"split": "all"}))
    if dataset.name not in TORCHVISION_SETS or dataset.split != "train":
        return None
    return load_images(dataset.model_copy(update={"split": "test"}))
