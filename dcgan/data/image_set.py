"""What a data set is once it is loaded, and before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dcgan.data.decoding import Pixels
from tracking.errors import UserError

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many images are decoded, and of how many."""


def silent(done: int, total: int) -> None:
    """The Progress that says nothing."""


class DataError(UserError):
    """Data that cannot be used, in words for the user."""


@dataclass(frozen=True)
class DatasetCard:
    """What a run says of its data; each field is tracked as `config/dataset/<field>`.

    size: number of images. classes, class_sizes: empty where there are no labels.
    mean, std: of all pixels of a channel, scaled to [-1, 1].
    fingerprint: SHA-256 of the shape and the pixels as the networks see them.
    skipped: names of files that could not be read; at most the first 20.
    """

    path: str
    size: int
    classes: tuple[str, ...]
    class_sizes: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    transforms: str
    fingerprint: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageSet:
    """pixels: uint8 (N, C, H, W), values 0 to 255; perhaps a file that is mapped into memory.

    labels: int64 (N,), index into the card's classes; None where there are none.
    """

    pixels: Tensor
    card: DatasetCard
    labels: Tensor | None = None


@dataclass(frozen=True)
class Collection:
    """Images that wait to be decoded.

    path: where they were found, for the card.
    images: files, or an array (N, H, W) or (N, H, W, 3).
    names: of the images, for the user. labels: index into `classes`, one an image.
    content: gives a digest of all that the decoded images depend on beside their form.
    """

    path: str
    images: Sequence[Path] | Pixels
    names: Sequence[str]
    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    content: Callable[[], str]


@dataclass(frozen=True)
class Statistics:
    """mean, std, fingerprint: as on the card."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str


def measure(blocks: Iterable[Pixels], shape: tuple[int, int, int, int]) -> Statistics:
    """Statistics of pixels (N, C, H, W) that come in blocks, so that one block is in memory."""
    digest = hashlib.sha256(repr(shape).encode())
    total = np.zeros(shape[1], np.int64)
    squares = np.zeros(shape[1], np.int64)
    with ThreadPoolExecutor(1) as hashing:  # outside the interpreter lock, as the sums are
        for block in blocks:
            hashed = hashing.submit(digest.update, np.ascontiguousarray(block).data)
            rows = block.reshape(*block.shape[:2], shape[2] * shape[3])
            total += rows.sum(axis=2, dtype=np.uint32).sum(axis=0, dtype=np.int64)
            # The narrowest types that hold the sums of an image of up to 256x256: six times
            # as fast as int64 throughout.
            square = np.square(rows, dtype=np.uint16)
            squares += square.sum(axis=2, dtype=np.uint32).sum(axis=0, dtype=np.int64)
            hashed.result()
    count = shape[0] * shape[2] * shape[3]
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    return Statistics(
        mean=tuple(round(float(each), 6) for each in mean / 127.5 - 1),
        std=tuple(round(float(each), 6) for each in np.sqrt(variance) / 127.5),
        fingerprint=f"sha256:{digest.hexdigest()}",
    )


def class_sizes(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> tuple[int, ...]:
    return tuple(int(each) for each in np.bincount(labels, minlength=len(classes)))
