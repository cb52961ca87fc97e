"""The labelled images of a probe, and its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import train_test_split

from dcgan.data.image_set import ImageSet, class_sizes
from dcgan.data.loading import load_held_out, load_images
from dcgan.probes.errors import ProbeError
from dcgan.run_folder.trained_run import TrainedRun
from tracking.wording import plural

TEST_SHARE = 0.2
"""Share of the images to test on, if there are no held-out ones."""


@dataclass(frozen=True, eq=False)
class LabelledSplit:
    """Labelled images to fit a classifier to, and others of the same classes to test it on.

    Attributes:
        train: The images to fit to.
        test: The images to test on.
        source: Where the test images are from, a sentence for the reader.
    """

    train: ImageSet
    test: ImageSet
    source: str

    @property
    def train_labels(self) -> npt.NDArray[np.int64]:
        """The classes of the training images, (N,)."""
        return _labels(self.train)

    @property
    def test_labels(self) -> npt.NDArray[np.int64]:
        """The classes of the test images, (M,)."""
        return _labels(self.test)


def labelled_images(
    run: TrainedRun, folder: Path | None, held_out: Path | None, seed: int
) -> LabelledSplit:
    """Load labelled images in the size and with the channels of the run's own images.

    Args:
        run: The run whose D is probed.
        folder: One folder per class; None takes the images that the run was trained on.
        held_out: Images to test on, in the same form. None takes the test split of the run's
            own data set if it was trained on the train split, otherwise a fifth of the images.
        seed: Chooses that fifth.

    Raises:
        ProbeError: Images have no labels, the classes of the test images are others, or there are
            too few images to set a fifth of them apart.
        StoreError: The run's images have changed since it was trained.
        DataError: Images cannot be loaded.
    """
    config = run.config
    test: ImageSet | None
    if folder is not None:
        settings = {"name": "folder", "path": str(folder)}
        images = load_images(config.dataset.model_copy(update=settings))
        test = load_held_out(config.dataset, str(held_out)) if held_out else None
    else:
        images = run.images()
        test = load_held_out(
            config.dataset, str(held_out) if held_out else config.evaluation.held_out
        )
    if test is not None and test.card.fingerprint == images.card.fingerprint:
        test = None  # the same images, given again, are none that D has not seen
    for image_set in filter(None, (images, test)):
        if image_set.labels is None or len(image_set.card.classes) < 2:
            raise ProbeError(
                f"The images in {image_set.card.path} have no labels.\n"
                "Give a folder with one folder per class: --data FOLDER."
            )
    if test is not None:
        if test.card.classes != images.card.classes:
            raise ProbeError(
                f"The classes in {test.card.path} are not those in {images.card.path}:\n"
                f"{', '.join(test.card.classes)}, but not {', '.join(images.card.classes)}."
            )
        count = len(test.pixels)
        return LabelledSplit(images, test, f"Tested on {count:,} images that D has not seen.")
    _check_shares(images)
    train_indices, test_indices = train_test_split(
        np.arange(len(images.pixels)),
        test_size=TEST_SHARE,
        random_state=seed % 2**32,  # scikit-learn takes no larger ones
        stratify=_labels(images),
    )
    seen = "" if folder else ", which D has seen without labels"
    return LabelledSplit(
        _subset(images, train_indices),
        _subset(images, test_indices),
        f"Tested on {len(test_indices):,} images{seen}.",
    )


def _check_shares(images: ImageSet) -> None:
    """Raise ProbeError unless both shares of the images can have all classes."""
    sizes = [size for size in images.card.class_sizes if size]
    test_count = math.ceil(TEST_SHARE * len(images.pixels))
    if min(sizes) < 2 or min(test_count, len(images.pixels) - test_count) < len(sizes):
        raise ProbeError(
            f"{plural(len(images.pixels), 'image')} of {len(sizes)} classes in "
            f"{images.card.path}, the smallest with {plural(min(sizes), 'image')}, are too few "
            "to train and to test on all classes.\nGive images to test on, with the same classes: "
            "--held-out FOLDER."
        )


def number_of_class(images: ImageSet, name: str) -> int:
    """The label of the class with this name; raises ProbeError if there is none."""
    classes = images.card.classes
    if images.labels is None or name not in classes:
        hint = f"The classes are: {', '.join(classes)}." if classes else "It has no labels."
        raise ProbeError(f"There is no class {name!r} in {images.card.path}.\n{hint}")
    return classes.index(name)


def _subset(images: ImageSet, indices: npt.NDArray[np.int64]) -> ImageSet:
    rows = torch.from_numpy(indices)
    assert images.labels is not None
    labels = images.labels[rows]
    sizes = class_sizes(labels.numpy(), images.card.classes)
    card = replace(images.card, size=len(indices), class_sizes=sizes)
    return ImageSet(images.pixels[rows], card, labels)


def _labels(images: ImageSet) -> npt.NDArray[np.int64]:
    assert images.labels is not None
    return images.labels.numpy()
