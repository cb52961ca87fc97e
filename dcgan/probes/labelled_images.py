"""The labelled images of a probe, and its classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import train_test_split

from dcgan.config.schema import Config
from dcgan.data.image_set import ImageSet, class_sizes
from dcgan.data.loading import load_held_out, load_images
from dcgan.probes.latent import ProbeError

TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class LabelledSplit:
    """source: where the test images are from, in a sentence for the reader."""

    train: ImageSet
    test: ImageSet
    source: str

    @property
    def train_labels(self) -> npt.NDArray[np.int64]:
        return _labels(self.train)

    @property
    def test_labels(self) -> npt.NDArray[np.int64]:
        return _labels(self.test)


def labelled_images(
    config: Config,
    own: Callable[[], ImageSet],
    folder: Path | None,
    held_out: Path | None,
    seed: int,
) -> LabelledSplit:
    """Labelled images in the form in which D sees them.

    own: loads those that the run was trained on. folder, held_out: others in their place, and
    to test on. Without `held_out` it is the set's test split, where it was trained on its train
    split, or a fifth of the images. Raises ProbeError where there are no labels.
    """
    test: ImageSet | None
    if folder is not None:
        named = {"name": "folder", "path": str(folder)}
        images = load_images(config.dataset.model_copy(update=named))
        test = load_held_out(config.dataset, str(held_out)) if held_out else None
    else:
        images = own()
        test = load_held_out(
            config.dataset, str(held_out) if held_out else config.evaluation.held_out
        )
    for each in filter(None, (images, test)):
        if each.labels is None or len(each.card.classes) < 2:
            raise ProbeError(
                f"The images in {each.card.path} have no labels.\n"
                "Give a folder with one folder a class: --data FOLDER."
            )
    if test is not None:
        if test.card.classes != images.card.classes:
            raise ProbeError(
                f"The classes in {test.card.path} are not those in {images.card.path}:\n"
                f"{', '.join(test.card.classes)}, but not {', '.join(images.card.classes)}."
            )
        count = len(test.pixels)
        return LabelledSplit(images, test, f"Tested on {count:,} images that D has not seen.")
    indices = np.arange(len(images.pixels))
    train, rest = train_test_split(
        indices, test_size=TEST_SHARE, random_state=seed, stratify=_labels(images)
    )
    seen = "" if folder else ", which D has seen without labels"
    return LabelledSplit(
        _part(images, train), _part(images, rest), f"Tested on {len(rest):,} images{seen}."
    )


def number_of_class(images: ImageSet, name: str) -> int:
    """Raises ProbeError where no class has this name."""
    classes = images.card.classes
    if images.labels is None or name not in classes:
        there = f"The classes are: {', '.join(classes)}." if classes else "It has no labels."
        raise ProbeError(f"There is no class {name!r} in {images.card.path}.\n{there}")
    return classes.index(name)


def _part(images: ImageSet, indices: Any) -> ImageSet:
    chosen = torch.from_numpy(indices)
    assert images.labels is not None
    labels = images.labels[chosen]
    sizes = class_sizes(labels.numpy(), images.card.classes)
    card = replace(images.card, size=len(indices), class_sizes=sizes)
    return ImageSet(images.pixels[chosen], card, labels)


def _labels(images: ImageSet) -> npt.NDArray[np.int64]:
    assert images.labels is not None
    return images.labels.numpy()
