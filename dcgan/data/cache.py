"""Decoded images in a memory-mapped file, built once; an entry is complete or absent."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import pydantic
import torch

from dcgan.cache_dir import cache_folder
from dcgan.data.decoded_chunks import (
    DecodedChunks,
    UnreadableImagesError,
    too_many_unreadable,
)
from dcgan.data.decoding import ImageFormat, Pixels
from dcgan.data.file_statistics import FileStatistics
from dcgan.data.image_set import (
    Collection,
    DataError,
    DatasetCard,
    ImageSet,
    class_sizes,
    pixel_statistics,
)
from dcgan.data.progress import Progress
from tracking.atomic_files import atomic_write
from tracking.errors import warn
from tracking.wording import plural

FORMAT = 6
"""Increased whenever the same images would give other pixels or another layout."""

_PIXELS, _LABELS, _CARD, _CHECKED = "pixels.uint8", "labels.npy", "card.json", "checked"
_FILE_STATISTICS, _LOG = "findings.json", "chunks.jsonl"
_CHECK_SECONDS = 86_400.0
"""How often the pixels are compared with their fingerprint, unless their file has changed."""

_KEPT_SECONDS = 7 * 86_400.0
"""How long the unfinished entry of a killed process is kept, to be continued."""

_LARGE_ENTRY = 2 * 2**30
"""Entries of this many bytes are announced before they are decoded."""

_BLOCK = 2**22
"""Bytes of pixels that are read at a time."""

_FILE_STATISTICS_TYPE = pydantic.TypeAdapter(FileStatistics)


@dataclass(frozen=True)
class _Entry:
    """One set in one format: a folder with raw pixels (N, C, H, W), labels and the card."""

    folder: Path
    image_format: ImageFormat

    def read(self) -> ImageSet | None:
        """The set; None if the entry is absent, incomplete or damaged."""
        try:
            fields: dict[str, Any] = json.loads((self.folder / _CARD).read_text(encoding="utf-8"))
            size = (self.folder / _PIXELS).stat().st_size
            tuples = {key: tuple(each) for key, each in fields.items() if isinstance(each, list)}
            card = DatasetCard(**fields | tuples)
            shape = (card.size, *self.image_format.shape)
            if size != np.prod(shape) or not self._is_checked(card):
                return None
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        # Copy-on-write, because PyTorch has no read-only tensors.
        pixels = np.memmap(self.folder / _PIXELS, np.uint8, mode="c", shape=shape)
        labels = None
        if card.classes:
            try:
                indices = np.load(self.folder / _LABELS)
                if class_sizes(indices, card.classes) != card.class_sizes:
                    return None
            except (OSError, ValueError, TypeError, EOFError):
                return None
            labels = torch.from_numpy(indices)
        return ImageSet(torch.from_numpy(pixels), card, labels, self._file_statistics())

    def _file_statistics(self) -> FileStatistics | None:
        try:
            return _FILE_STATISTICS_TYPE.validate_json(
                (self.folder / _FILE_STATISTICS).read_bytes()
            )
        except (OSError, pydantic.ValidationError):
            return None

    def note_checked(self) -> None:
        """Record that the pixels match the card now, with the state of their file."""
        with contextlib.suppress(OSError):  # the cache may be read-only
            (self.folder / _CHECKED).write_text(self._state(), encoding="ascii")

    def _is_checked(self, card: DatasetCard) -> bool:
        """Whether the pixels match the card, by a check that is at most a day old."""
        note = self.folder / _CHECKED
        with contextlib.suppress(OSError, ValueError):
            if (
                _is_recent(note, _CHECK_SECONDS)
                and note.read_text(encoding="ascii") == self._state()
            ):
                return True
        digest = hashlib.sha256(repr((card.size, *self.image_format.shape)).encode())
        with (self.folder / _PIXELS).open("rb") as pixels:
            for block in _read_blocks(pixels, self.image_format):
                digest.update(block.data)
        if f"sha256:{digest.hexdigest()}" != card.fingerprint:
            return False
        self.note_checked()
        return True

    def _state(self) -> str:
        status = (self.folder / _PIXELS).stat()
        return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def load_cached(
    collection: Collection, image_format: ImageFormat, max_unreadable: int, progress: Progress
) -> ImageSet:
    """Map the decoded images of a collection into memory; decode them first if they are new.

    The key is the content and the format, not the path: a folder that was copied or touched is
    recognised, and one that was changed is decoded again. If two processes need the same entry,
    one of them builds it.

    Args:
        collection: The images.
        image_format: The format to which they are converted.
        max_unreadable: Files that may be skipped because they cannot be read.
        progress: Called while images are decoded.

    Raises:
        DataError: There are no images, too many files are unreadable, files change while they
            are read, or the cache cannot be written.
    """
    if not collection.names:
        raise DataError(f"{collection.path} holds no images.")
    content = collection.content()
    key_parts = (FORMAT, dataclasses.astuple(image_format), content)
    key = hashlib.sha256(repr(key_parts).encode()).hexdigest()[:32]
    folder = cache_folder() / "images"
    entry = _Entry(folder / key, image_format)
    images = entry.read()
    if images is None:
        with _explaining_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / f"{key}.lock"):
                images = entry.read() or _build(
                    entry, collection, content, max_unreadable, progress
                )
    unreadable = len(collection.names) - images.card.size
    if unreadable > max_unreadable:
        raise too_many_unreadable(images.card.skipped, unreadable, max_unreadable)
    card = dataclasses.replace(images.card, path=collection.path)
    return dataclasses.replace(images, card=card)


def cached_content(signature: str, compute: Callable[[], str]) -> str:
    """The result of `compute` for this signature, from the cache if there is one; ASCII.

    Raises DataError if the cache cannot be written.
    """
    file = cache_folder() / "contents" / signature
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        content = compute()
    with _explaining_write_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            temporary.write_text(content, encoding="ascii")
    return content


@contextmanager
def _explaining_write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The cache of decoded images cannot be written to {folder}: {error.strerror}.\n"
            "Free some space there, or set the environment variable DCGAN_CACHE to another folder."
        ) from error


def _build(
    entry: _Entry,
    collection: Collection,
    content: str,
    max_unreadable: int,
    progress: Progress,
) -> ImageSet:
    """Decode into a temporary folder and rename it at the end; the caller holds the lock.

    If the process is killed, the folder stays, and the next one continues from there. `content` is
    that of the collection by which the entry is found, before decoding.
    """
    temporary = entry.folder.with_name(f"{entry.folder.name}.tmp")
    _remove_abandoned_builds(entry.folder.parent, but=temporary)
    # It is not complete, or it would have been read.
    shutil.rmtree(entry.folder, ignore_errors=True)
    temporary.mkdir(exist_ok=True)
    try:
        _check_disk(temporary, entry.image_format, collection)
        card = _decode_to(temporary, entry.image_format, collection, max_unreadable, progress)
        # Otherwise the old images, restored or copied elsewhere, would be found as the new ones.
        if collection.content() != content:
            raise DataError(
                f"Images in {collection.path} changed while they were read. Run the same command "
                "again."
            )
        (temporary / _CARD).write_text(json.dumps(dataclasses.asdict(card)), encoding="utf-8")
        (temporary / _LOG).unlink()
        dataclasses.replace(entry, folder=temporary).note_checked()
        temporary.rename(entry.folder)
    except (KeyboardInterrupt, UnreadableImagesError):
        raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    built = entry.read()
    assert built is not None
    return built


def _check_disk(folder: Path, image_format: ImageFormat, collection: Collection) -> None:
    """Announce the size of a large entry, and refuse one that the disk has no room for."""
    total = len(collection.names)
    needed = total * math.prod(image_format.shape)
    with contextlib.suppress(OSError):
        needed -= (folder / _PIXELS).stat().st_blocks * 512  # of a build that is continued
    free = shutil.disk_usage(folder).free
    height, width = image_format.sides
    sizes = (
        f"{total:,} images of {width}x{height} take {needed / 2**30:.1f} GiB in the cache, "
        f"{folder.parent}, which has {free / 2**30:.1f} GiB free."
    )
    if needed > free:
        raise DataError(
            f"{sizes}\nFree some space there, set the environment variable DCGAN_CACHE to another "
            "folder, or choose a smaller dataset.image_size."
        )
    if needed >= _LARGE_ENTRY:
        warn(sizes)


def _decode_to(
    folder: Path,
    image_format: ImageFormat,
    collection: Collection,
    max_unreadable: int,
    progress: Progress,
) -> DatasetCard:
    """Write the decoded images and their labels to files, and describe them."""
    for name in (_PIXELS, _LOG):
        (folder / name).touch()
    chunks = DecodedChunks(folder / _PIXELS, folder / _LOG, image_format, collection)
    total = len(collection.names)
    statistics = pixel_statistics(
        chunks.decode(max_unreadable, progress), (total, *image_format.shape)
    )
    size = total - len(chunks.unreadable)
    if not size:
        raise DataError(
            f"No image in {collection.path} can be read, of {plural(total, 'file')}.\n"
            f"The first is {chunks.skipped[0]}."
        )
    if chunks.unreadable:  # the fingerprint begins with the size, which was not known before
        statistics = pixel_statistics(chunks.close_gaps(), (size, *image_format.shape))
    with (folder / _PIXELS).open("r+b") as pixels:
        os.fsync(pixels.fileno())
    files = chunks.file_statistics
    if files.deep.unmapped is not None:
        raise _range_is_missing(collection, files.deep.unmapped)
    sizes: tuple[int, ...] = ()
    if collection.labels is not None:
        labels = np.delete(collection.labels, list(chunks.unreadable))
        sizes = class_sizes(labels, collection.classes)
        np.save(folder / _LABELS, labels)
    (folder / _FILE_STATISTICS).write_bytes(_FILE_STATISTICS_TYPE.dump_json(files))
    return DatasetCard(
        path=collection.path,
        size=size,
        classes=collection.classes,
        class_sizes=sizes,
        mean=statistics.mean,
        std=statistics.std,
        transforms=f"{image_format}, scale to [-1, 1]",
        fingerprint=statistics.fingerprint,
        skipped=chunks.skipped,
        duplicates=statistics.duplicates,
        clipped=files.deep.outside / max(files.deep.count, 1),
        extreme=files.deep.extreme / max(files.deep.count, 1),
        paged=files.paged,
        warnings=tuple(_warnings(collection, files)),
    )


def _warnings(collection: Collection, files: FileStatistics) -> Iterator[str]:
    for words, (count, first) in files.warnings.items():
        yield f"{plural(count, 'file')}, the first of them {collection.names[first]}: {words}"


def _read_blocks(pixels: BinaryIO, image_format: ImageFormat) -> Iterator[Pixels]:
    """The pixels (n, C, H, W) from the file, some at a time."""
    bytes_per_image = math.prod(image_format.shape)
    while block := pixels.read(max(1, _BLOCK // bytes_per_image) * bytes_per_image):
        yield np.frombuffer(block, np.uint8).reshape(-1, *image_format.shape)


def _range_is_missing(collection: Collection, values: tuple[float, float]) -> DataError:
    low, high = values
    return DataError(
        f"{collection.path} holds images with float or 32-bit values, from {low:g} to {high:g}.\n"
        "It is not known which values are black and white. Set them, such as with "
        f"--set dataset.value_range=[{low:g},{high:g}],\nor map percentiles 1 to 99 of each image "
        "with --set dataset.value_range=percentile."
    )


def _is_recent(file: Path, seconds: float) -> bool:
    try:
        return time.time() - file.stat().st_mtime < seconds
    except OSError:
        return False


def _remove_abandoned_builds(images: Path, but: Path) -> None:
    """Remove old entries of killed processes; a living process holds the lock of its entry."""
    for abandoned in images.glob("*.tmp"):
        if abandoned == but or _is_recent(abandoned / _LOG, _KEPT_SECONDS):
            continue
        lock = filelock.FileLock(abandoned.with_suffix(".lock"), timeout=0)
        try:
            with lock:
                shutil.rmtree(abandoned, ignore_errors=True)
        except filelock.Timeout:
            continue
