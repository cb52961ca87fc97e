"""A data set before it is decoded and after it is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dcgan.data.decoding import Images, Pixels
from dcgan.data.file_statistics import FileStatistics
from tracking.errors import UserError


class DataError(UserError):
    """Data that cannot be used, explained for the user."""


@dataclass(frozen=True)
class DatasetCard:
    """The description of a data set in a run; each field is tracked as `config/dataset/<field>`.

    Attributes:
        path: Where the images came from.
        size: Number of images.
        classes: Names of the classes; empty without labels.
        class_sizes: Images per class; empty without labels.
        mean, std: Per channel, over all pixels scaled to [-1, 1].
        transforms: What was done to the images, in words.
        fingerprint: SHA-256 of the shape and the pixels that the networks see.
        skipped: Files that could not be read and why; at most the first 20.
        duplicates: Images whose pixels are those of an earlier one.
        clipped: Share of the values of images with more than 8 bits that lay outside
            `dataset.value_range`, 0 to 1.
        extreme: Share of these values that became black or white, 0 to 1.
        paged: Files with several pages or frames, of which the first was taken.
        warnings: Possible problems of files, one sentence per kind.
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
    duplicates: int = 0
    clipped: float = 0.0
    extreme: float = 0.0
    paged: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageSet:
    """A loaded data set.

    Attributes:
        pixels: uint8 (N, C, H, W), values 0 to 255; may be a memory-mapped file.
        card: Its description.
        labels: Indices into the card's classes, int64 (N,); None without labels.
        file_statistics: Statistics of its files; None if it was not read from files.
        left_out: File extension -> number of files left out because it is not of an image.
    """

    pixels: Tensor
    card: DatasetCard
    labels: Tensor | None = None
    file_statistics: FileStatistics | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """Images that are not decoded yet.

    Attributes:
        path: Where they are, for the card.
        images: The encoded images, which are decoded in slices and in order.
        names: The names of the images, for messages.
        classes: Names of the classes; empty without labels.
        labels: Indices into `classes`, int64 (N,); None without labels.
        content: Returns a digest of everything that the decoded images depend on except the
            form.
        left_out: File extension -> number of files left out because it is not of an image.
    """

    path: str
    images: Images
    names: Sequence[str]
    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    content: Callable[[], str]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PixelStatistics:
    """The fields of the card that are computed from all pixels; see `DatasetCard`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    duplicates: int


def pixel_statistics(blocks: Iterable[Pixels], shape: tuple[int, int, int, int]) -> PixelStatistics:
    """Mean, standard deviation and fingerprint of pixels, with one block in memory at a time.

    Args:
        blocks: The pixels in order, each block (n, C, H, W).
        shape: (N, C, H, W) of all blocks together.
    """
    digest = hashlib.sha256(repr(shape).encode())
    images: set[bytes] = set()

    def hash_block(block: Pixels) -> None:
        digest.update(block.data)
        images.update(hashlib.blake2b(image.data, digest_size=16).digest() for image in block)

    # The narrowest types that hold the sums of an image are six times as fast as int64.
    of_squares = np.uint32 if shape[2] * shape[3] <= 2**16 else np.uint64
    total = np.zeros(shape[1], np.int64)
    squares = np.zeros(shape[1], np.int64)
    with ThreadPoolExecutor(1) as hashing:  # which releases the interpreter lock, as sums do
        for block in blocks:
            hashed = hashing.submit(hash_block, np.ascontiguousarray(block))
            rows = block.reshape(*block.shape[:2], shape[2] * shape[3])
            total += rows.sum(axis=2, dtype=np.uint32).sum(axis=0, dtype=np.int64)
            square = np.square(rows, dtype=np.uint16)
            squares += square.sum(axis=2, dtype=of_squares).sum(axis=0, dtype=np.int64)
            hashed.result()
    count = shape[0] * shape[2] * shape[3]
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    return PixelStatistics(
        mean=tuple(round(float(each), 6) for each in mean / 127.5 - 1),
        std=tuple(round(float(each), 6) for each in np.sqrt(variance) / 127.5),
        fingerprint=f"sha256:{digest.hexdigest()}",
        duplicates=shape[0] - len(images),
    )


def class_sizes(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> tuple[int, ...]:
    """Number of images per class, from labels (N,) that are indices into `classes`."""
    return tuple(int(each) for each in np.bincount(labels, minlength=len(classes)))
