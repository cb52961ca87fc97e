"""Decoded images in a file that is mapped into memory: built once, whole or absent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import torch

from dcgan.cache_dir import cache_folder
from dcgan.data.decoding import Form, Pixels, decode_to
from dcgan.data.image_set import (
    Collection,
    DataError,
    DatasetCard,
    ImageSet,
    Progress,
    class_sizes,
    measure,
)
from dcgan.data.parallel import CHUNK, each_chunk
from tracking.atomic_files import atomic_write

FORMAT = 2
"""Goes up when the same images would give other pixels or another layout."""


_PIXELS, _LABELS, _CARD = "pixels.uint8", "labels.npy", "card.json"


_NAMED = 20


@dataclass(frozen=True)
class _Entry:
    """One set in one form: a folder with the raw pixels (N, C, H, W), labels and the card."""

    folder: Path
    form: Form

    def read(self) -> ImageSet | None:
        """None where it is not there or not whole."""
        try:
            fields: dict[str, Any] = json.loads((self.folder / _CARD).read_text(encoding="utf-8"))
            size = (self.folder / _PIXELS).stat().st_size
        except (OSError, ValueError):
            return None
        lists = {key: tuple(each) for key, each in fields.items() if isinstance(each, list)}
        card = DatasetCard(**fields | lists)
        shape = (card.size, *self.form.shape)
        if size != np.prod(shape):
            return None
        # Copy-on-write, since PyTorch knows no read-only tensors.
        pixels = np.memmap(self.folder / _PIXELS, np.uint8, mode="c", shape=shape)
        labels = None
        if card.classes:
            try:
                labels = torch.from_numpy(np.load(self.folder / _LABELS))
            except (OSError, ValueError):
                return None
        return ImageSet(torch.from_numpy(pixels), card, labels)


def load_cached(
    collection: Collection, form: Form, max_unreadable: int, progress: Progress
) -> ImageSet:
    """Map the decoded images of a collection into memory; decode them where they are new.

    The key is the content and the form, not the place: a folder that was copied or touched
    is found again, one that was changed is not. Two processes that want the same build it
    once. Raises DataError for too many unreadable files and for a cache that cannot be
    written.
    """
    made_of = (FORMAT, dataclasses.astuple(form), collection.content())
    key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]
    images = cache_folder() / "images"
    entry = _Entry(images / key, form)
    found = entry.read()
    if found is None:
        with _writing(images):
            images.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(images / f"{key}.lock"):
                found = entry.read() or _build(entry, collection, max_unreadable, progress)
    unreadable = len(collection.names) - found.card.size
    if unreadable > max_unreadable:
        raise _too_many(found.card.skipped, unreadable, max_unreadable)
    card = dataclasses.replace(found.card, path=collection.path)
    return dataclasses.replace(found, card=card)


def remembered(signature: str, compute: Callable[[], str]) -> str:
    """What `compute` gave for this signature before, or gives now."""
    file = cache_folder() / "contents" / signature
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        content = compute()
    with _writing(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            temporary.write_text(content, encoding="ascii")
    return content


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The cache of decoded images cannot be written to {folder}: {error.strerror}.\n"
            "Make room there, or name another folder in the environment variable DCGAN_CACHE."
        ) from error


def _build(
    entry: _Entry, collection: Collection, max_unreadable: int, progress: Progress
) -> ImageSet:
    """Decode into a folder beside, which takes its name at the end; the caller holds the lock."""
    _remove_remains(entry.folder.parent)
    temporary = entry.folder.with_name(f"{entry.folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(entry.folder, ignore_errors=True)  # it is not whole, or would have been read
    temporary.mkdir()
    try:
        card = _decode_to(temporary, entry.form, collection, max_unreadable, progress)
        (temporary / _CARD).write_text(json.dumps(dataclasses.asdict(card)), encoding="utf-8")
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
    """Write the decoded images and their labels to files, and measure them on the way."""
    unreadable: dict[int, str] = {}
    total = len(collection.names)
    # Unbuffered: what was read ahead would be stale once a process has written there.
    with (folder / _PIXELS).open("w+b", buffering=0) as pixels:
        decoded = _decode(pixels, form, collection, max_unreadable, progress, unreadable)
        statistics = measure(decoded, (total, *form.shape))
        size = total - len(unreadable)
        if not size:
            raise DataError(f"None of the {total} files in {collection.path} is a readable image.")
        if unreadable:  # the size, which the fingerprint begins with, was not known
            pixels.truncate(size * math.prod(form.shape))
            pixels.seek(0)
            statistics = measure(_blocks(pixels, form), (size, *form.shape))
        os.fsync(pixels.fileno())
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
        skipped=_named(collection, unreadable),
    )


def _decode(
    pixels: BinaryIO,
    form: Form,
    collection: Collection,
    max_unreadable: int,
    progress: Progress,
    unreadable: dict[int, str],
) -> Iterator[Pixels]:
    """Let processes fill the file, and yield its pixels (n, C, H, W) once they stand there.

    Adds the positions and faults of the unreadable images to `unreadable`.
    """
    images, total = collection.images, len(collection.names)
    bytes_a_row = math.prod(form.shape)
    file = Path(pixels.name)
    firsts = range(0, total, CHUNK)
    chunks = ((file, first, images[first : first + CHUNK], form) for first in firsts)
    for first, faults in zip(firsts, each_chunk(decode_to, chunks, total), strict=True):
        last = min(first + CHUNK, total)
        pixels.seek(first * bytes_a_row)
        block = pixels.read((last - first - len(faults)) * bytes_a_row)
        if unreadable:  # close the gap that those before left
            pixels.seek((first - len(unreadable)) * bytes_a_row)
            pixels.write(block)
        unreadable |= {first + at: reason for at, reason in faults.items()}
        if len(unreadable) > max_unreadable:
            raise _too_many(_named(collection, unreadable), len(unreadable), max_unreadable)
        progress(last, total)
        yield np.frombuffer(block, np.uint8).reshape(-1, *form.shape)


def _blocks(pixels: BinaryIO, form: Form) -> Iterator[Pixels]:
    """The pixels (n, C, H, W) from the file, a chunk at a time."""
    while block := pixels.read(CHUNK * math.prod(form.shape)):
        yield np.frombuffer(block, np.uint8).reshape(-1, *form.shape)


def _named(collection: Collection, unreadable: dict[int, str]) -> tuple[str, ...]:
    faults = sorted(unreadable.items())[:_NAMED]
    return tuple(f"{collection.names[position]}: {reason}" for position, reason in faults)


def _too_many(faults: Sequence[str], count: int, allowed: int) -> DataError:
    listed = "\n".join(f"  {fault}" for fault in faults[:5])
    files = "A file is no image" if count == 1 else f"{count:,} files are no images"
    return DataError(
        f"{files} that can be read:\n{listed}\n"
        f"Repair or remove what is broken, or skip it (now up to {allowed}): "
        f"--set dataset.max_unreadable={max(count, 10)}."
    )


def _remove_remains(images: Path) -> None:
    """What killed processes left half-made; a living one holds the lock of its own."""
    for remains in images.glob("*.tmp"):
        lock = filelock.FileLock(remains.with_suffix(".lock"), timeout=0)
        try:
            with lock:
                shutil.rmtree(remains, ignore_errors=True)
        except filelock.Timeout:
            continue
