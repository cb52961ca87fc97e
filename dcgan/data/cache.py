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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import torch

from dcgan.cache_dir import cache_folder
from dcgan.data.decoding import DeepValues, Form, Pixels, Written, decode_to
from dcgan.data.image_set import (
    Collection,
    DataError,
    DatasetCard,
    ImageSet,
    Progress,
    class_sizes,
    pixel_statistics,
)
from dcgan.data.parallel import CHUNK, map_chunks
from tracking.atomic_files import atomic_write

FORMAT = 3
"""Increased whenever the same images would give other pixels or another layout."""

_PIXELS, _LABELS, _CARD, _CHECKED = "pixels.uint8", "labels.npy", "card.json", "checked"
_CHECK_SECONDS = 86_400.0
"""How often the pixels are compared with their fingerprint, unless their file has changed."""

_MAX_SKIPPED_NAMES = 20


@dataclass(frozen=True)
class _Entry:
    """One set in one form: a folder with raw pixels (N, C, H, W), labels and the card."""

    folder: Path
    form: Form

    def read(self) -> ImageSet | None:
        """The set; None if the entry is absent, incomplete or damaged."""
        try:
            fields: dict[str, Any] = json.loads((self.folder / _CARD).read_text(encoding="utf-8"))
            size = (self.folder / _PIXELS).stat().st_size
            tuples = {key: tuple(each) for key, each in fields.items() if isinstance(each, list)}
            card = DatasetCard(**fields | tuples)
            shape = (card.size, *self.form.shape)
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
        return ImageSet(torch.from_numpy(pixels), card, labels)

    def note_checked(self) -> None:
        """Note that the pixels are now those of the card, and what their file looks like."""
        with contextlib.suppress(OSError):  # the cache may be read-only
            (self.folder / _CHECKED).write_text(self._state(), encoding="ascii")

    def _is_checked(self, card: DatasetCard) -> bool:
        """Whether the pixels are those of the card, by a check that is not older than a day."""
        note = self.folder / _CHECKED
        with contextlib.suppress(OSError, ValueError):
            is_recent = time.time() - note.stat().st_mtime < _CHECK_SECONDS
            if is_recent and note.read_text(encoding="ascii") == self._state():
                return True
        digest = hashlib.sha256(repr((card.size, *self.form.shape)).encode())
        with (self.folder / _PIXELS).open("rb") as pixels:
            for block in _read_blocks(pixels, self.form):
                digest.update(block.data)
        if f"sha256:{digest.hexdigest()}" != card.fingerprint:
            return False
        self.note_checked()
        return True

    def _state(self) -> str:
        status = (self.folder / _PIXELS).stat()
        return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def load_cached(
    collection: Collection, form: Form, max_unreadable: int, progress: Progress
) -> ImageSet:
    """Map the decoded images of a collection into memory; decode them first if they are new.

    The key is the content and the form, not the place: a folder that was copied or touched is
    recognised, and one that was changed is decoded again. Two processes that want the same
    entry build it once.

    Args:
        collection: The images.
        form: What they are converted to.
        max_unreadable: Files that may be skipped because they cannot be read.
        progress: Called while images are decoded.

    Raises:
        DataError: Too many files are unreadable, or the cache cannot be written.
    """
    key_parts = (FORMAT, dataclasses.astuple(form), collection.content())
    key = hashlib.sha256(repr(key_parts).encode()).hexdigest()[:32]
    folder = cache_folder() / "images"
    entry = _Entry(folder / key, form)
    images = entry.read()
    if images is None:
        with _explaining_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / f"{key}.lock"):
                images = entry.read() or _build(entry, collection, max_unreadable, progress)
    unreadable = len(collection.names) - images.card.size
    if unreadable > max_unreadable:
        raise _too_many_unreadable(images.card.skipped, unreadable, max_unreadable)
    card = dataclasses.replace(images.card, path=collection.path)
    return dataclasses.replace(images, card=card)


def cached_content(signature: str, compute: Callable[[], str]) -> str:
    """What `compute` returned for this signature when it was first called; ASCII.

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
    entry: _Entry, collection: Collection, max_unreadable: int, progress: Progress
) -> ImageSet:
    """Decode into a temporary folder and rename it at the end; the caller holds the lock."""
    _remove_abandoned_builds(entry.folder.parent)
    temporary = entry.folder.with_name(f"{entry.folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    # If it were complete, it would have been read.
    shutil.rmtree(entry.folder, ignore_errors=True)
    temporary.mkdir()
    try:
        card = _decode_to(temporary, entry.form, collection, max_unreadable, progress)
        (temporary / _CARD).write_text(json.dumps(dataclasses.asdict(card)), encoding="utf-8")
        dataclasses.replace(entry, folder=temporary).note_checked()
        temporary.rename(entry.folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    built = entry.read()
    assert built is not None
    return built


def _decode_to(
    folder: Path, form: Form, collection: Collection, max_unreadable: int, progress: Progress
) -> DatasetCard:
    """Write the decoded images and their labels to files, and describe them."""
    unreadable: dict[int, str] = {}
    deep_values: list[DeepValues] = []
    total = len(collection.names)
    # Unbuffered: what was read ahead would be stale once a process has written there.
    with (folder / _PIXELS).open("w+b", buffering=0) as pixels:
        blocks = _decoded_blocks(
            pixels, form, collection, max_unreadable, progress, unreadable, deep_values
        )
        statistics = pixel_statistics(blocks, (total, *form.shape))
        size = total - len(unreadable)
        if not size:
            raise DataError(f"None of the {total} files in {collection.path} is a readable image.")
        if unreadable:  # the fingerprint begins with the size, which was not known before
            pixels.truncate(size * math.prod(form.shape))
            pixels.seek(0)
            statistics = pixel_statistics(_read_blocks(pixels, form), (size, *form.shape))
        os.fsync(pixels.fileno())
    deep = sum(deep_values, DeepValues())
    if deep.unmapped is not None:
        raise _range_is_missing(collection, deep.unmapped)
    sizes: tuple[int, ...] = ()
    if collection.labels is not None:
        labels = np.delete(collection.labels, list(unreadable))
        sizes = class_sizes(labels, collection.classes)
        np.save(folder / _LABELS, labels)
    return DatasetCard(
        path=collection.path,
        size=size,
        classes=collection.classes,
        class_sizes=sizes,
        mean=statistics.mean,
        std=statistics.std,
        transforms=f"{form}, scale to [-1, 1]",
        fingerprint=statistics.fingerprint,
        skipped=_skipped(collection, unreadable),
        duplicates=statistics.duplicates,
        clipped=deep.outside / max(deep.count, 1),
        extreme=deep.extreme / max(deep.count, 1),
    )


def _decoded_blocks(
    pixels: BinaryIO,
    form: Form,
    collection: Collection,
    max_unreadable: int,
    progress: Progress,
    unreadable: dict[int, str],
    deep_values: list[DeepValues],
) -> Iterator[Pixels]:
    """Let processes fill the file, and yield its pixels (n, C, H, W) as they are written.

    Args:
        pixels: The file.
        form: What the images are converted to.
        collection: The images.
        max_unreadable: Files that may be skipped.
        progress: Called after each chunk.
        unreadable: Takes the reason for each unreadable image by its position.
        deep_values: Takes what became of the values of images with more than 8 bits.
    """
    images, total = collection.images, len(collection.names)
    bytes_per_image = math.prod(form.shape)
    file = Path(pixels.name)
    firsts = range(0, total, CHUNK)
    chunks = ((file, first, images[first : first + CHUNK], form) for first in firsts)
    results: Iterator[Written] = map_chunks(decode_to, chunks, total)
    for first, written in zip(firsts, results, strict=True):
        reasons = written.unreadable
        deep_values.append(written.deep)
        end = min(first + CHUNK, total)
        pixels.seek(first * bytes_per_image)
        block = pixels.read((end - first - len(reasons)) * bytes_per_image)
        if unreadable:  # close the gap left by the unreadable images of earlier chunks
            pixels.seek((first - len(unreadable)) * bytes_per_image)
            pixels.write(block)
        unreadable |= {first + position: reason for position, reason in reasons.items()}
        if len(unreadable) > max_unreadable:
            raise _too_many_unreadable(
                _skipped(collection, unreadable), len(unreadable), max_unreadable
            )
        progress(end, total)
        yield np.frombuffer(block, np.uint8).reshape(-1, *form.shape)


def _read_blocks(pixels: BinaryIO, form: Form) -> Iterator[Pixels]:
    """The pixels (n, C, H, W) from the file, one chunk at a time."""
    while block := pixels.read(CHUNK * math.prod(form.shape)):
        yield np.frombuffer(block, np.uint8).reshape(-1, *form.shape)


def _skipped(collection: Collection, unreadable: dict[int, str]) -> tuple[str, ...]:
    first = sorted(unreadable.items())[:_MAX_SKIPPED_NAMES]
    return tuple(f"{collection.names[position]}: {reason}" for position, reason in first)


def _too_many_unreadable(skipped: Sequence[str], count: int, allowed: int) -> DataError:
    listed = "\n".join(f"  {file}" for file in skipped[:5])
    files = "1 file is not a readable image"
    if count > 1:
        files = f"{count:,} files are not readable images"
    return DataError(
        f"{files} (at most {allowed} may be skipped):\n{listed}\n"
        "Repair or remove what is broken, or allow more to be skipped with "
        f"--set dataset.max_unreadable={max(count, 10)}."
    )


def _range_is_missing(collection: Collection, found: tuple[float, float]) -> DataError:
    low, high = found
    return DataError(
        f"{collection.path} holds images with float or 32-bit values, from {low:g} to {high:g}.\n"
        "Which of them are black and white is not known. Say it, such as with "
        f"--set dataset.value_range=[{low:g},{high:g}],\nor map percentiles 1 to 99 of each image "
        "with --set dataset.value_range=percentile."
    )


def _remove_abandoned_builds(images: Path) -> None:
    """Remove the folders of killed processes; a living one holds the lock of its folder."""
    for abandoned in images.glob("*.tmp"):
        lock = filelock.FileLock(abandoned.with_suffix(".lock"), timeout=0)
        try:
            with lock:
                shutil.rmtree(abandoned, ignore_errors=True)
        except filelock.Timeout:
            continue
