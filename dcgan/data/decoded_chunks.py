"""Decodes a collection into a file, chunk by chunk; resumes where a killed process stopped."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydantic

from dcgan.data.decoding import ImageFormat, Pixels, Written, decode_to, pixels_digest
from dcgan.data.file_statistics import FileStatistics, merge_file_statistics
from dcgan.data.image_set import Collection, DataError
from dcgan.data.parallel import CHUNK, map_chunks
from dcgan.data.progress import Progress

_CHUNK_BYTES = 2**24
_MAX_SKIPPED_NAMES = 20


class UnreadableImagesError(DataError):
    """More images are unreadable than may be skipped; the decoded ones are kept."""


@pydantic.dataclasses.dataclass(frozen=True)
class _Line:
    """One finished chunk in the log.

    Attributes:
        first: Position of its first image.
        images: How many it has.
        written: What was written of them.
    """

    first: int
    images: int
    written: Written


_LINE = pydantic.TypeAdapter(_Line)


@dataclass(frozen=True)
class DecodedChunks:
    """The pixels of a collection in a file, with a fixed place for each chunk of images.

    Attributes:
        pixels: The file, (N, C, H, W).
        log: A file with a line for each chunk that is finished.
        image_format: The format to which the images are converted.
        collection: The images.
        unreadable: Filled with the reason for each unreadable image, by its position.
    """

    pixels: Path
    log: Path
    image_format: ImageFormat
    collection: Collection
    unreadable: dict[int, str] = field(default_factory=dict)
    _written: dict[int, Written] = field(default_factory=dict)

    @property
    def file_statistics(self) -> FileStatistics:
        """The statistics of all files so far."""
        return merge_file_statistics(
            (first, written.file_statistics) for first, written in self._written.items()
        )

    @property
    def skipped(self) -> tuple[str, ...]:
        """The first unreadable images, and why they cannot be read."""
        first = sorted(self.unreadable.items())[:_MAX_SKIPPED_NAMES]
        return tuple(f"{self.collection.names[index]}: {reason}" for index, reason in first)

    def decode(self, max_unreadable: int, progress: Progress) -> Iterator[Pixels]:
        """Let processes fill the file, and yield its pixels (n, C, H, W) as they are written.

        Args:
            max_unreadable: Images that may be skipped.
            progress: Called after each chunk.

        Raises:
            UnreadableImagesError: More are unreadable.
        """
        images, total = self.collection.images, len(self.collection.names)
        size = min(CHUNK, max(1, _CHUNK_BYTES // math.prod(self.image_format.shape)))
        firsts = range(0, total, size)
        done = self._finished(size)
        missing = [first for first in firsts if first not in done]
        chunks = (
            (self.pixels, each, images[each : each + size], self.image_format) for each in missing
        )
        results: Iterator[Written] = map_chunks(decode_to, chunks, total)
        # Unbuffered, or pixels read ahead would be stale once a process has written them.
        with self.pixels.open("rb", buffering=0) as pixels, self.log.open("ab") as log:
            log.write(b"\n")  # the last line of a killed process may be cut off
            for first in firsts:
                count = min(size, total - first)
                written = done.get(first) or next(results)
                if first not in done:
                    log.write(_LINE.dump_json(_Line(first, count, written)) + b"\n")
                    log.flush()
                self._written[first] = written
                self.unreadable.update(
                    {first + index: reason for index, reason in written.unreadable.items()}
                )
                if len(self.unreadable) > max_unreadable:
                    self._forget_unreadable()
                    raise too_many_unreadable(self.skipped, len(self.unreadable), max_unreadable)
                progress(first + count, total)
                yield self._read(pixels, first, written.count)

    def close_gaps(self) -> Iterator[Pixels]:
        """Move pixels up to where unreadable images would be, cut the file, and yield them."""
        bytes_per_image = math.prod(self.image_format.shape)
        with self.pixels.open("r+b", buffering=0) as pixels:
            size = 0
            for first, written in self._written.items():
                block = self._read(pixels, first, written.count)
                pixels.seek(size * bytes_per_image)
                pixels.write(block.data)
                size += written.count
                yield block
            pixels.truncate(size * bytes_per_image)

    def _finished(self, size: int) -> dict[int, Written]:
        """Chunks of an earlier process, by their first image, whose pixels are intact."""
        finished = {}
        with self.pixels.open("rb", buffering=0) as pixels:
            for line in self._lines():
                block = self._read(pixels, line.first, line.written.count)
                is_whole = line.images == min(size, len(self.collection.names) - line.first)
                if is_whole and pixels_digest(block.data) == line.written.digest:
                    finished[line.first] = line.written
        return finished

    def _forget_unreadable(self) -> None:
        """Let the next process try again: a drive may have failed, or Pillow may be newer then."""
        readable = [line for line in self._lines() if not line.written.unreadable]
        self.log.write_bytes(b"".join(_LINE.dump_json(line) + b"\n" for line in readable))

    def _lines(self) -> Iterator[_Line]:
        for text in self.log.read_bytes().split(b"\n"):
            with contextlib.suppress(pydantic.ValidationError):  # one may be cut off
                yield _LINE.validate_json(text)

    def _read(self, pixels: BinaryIO, first: int, count: int) -> Pixels:
        """Pixels from a row on, (at most count, C, H, W)."""
        bytes_per_image = math.prod(self.image_format.shape)
        pixels.seek(first * bytes_per_image)
        block = pixels.read(count * bytes_per_image)
        images = len(block) // bytes_per_image  # the last one may be cut off
        return np.frombuffer(block[: images * bytes_per_image], np.uint8).reshape(
            -1, *self.image_format.shape
        )


def too_many_unreadable(skipped: Sequence[str], count: int, allowed: int) -> DataError:
    """The error for more unreadable images than may be skipped.

    Args:
        skipped: The names of the first of them, and why they cannot be read.
        count: How many there are.
        allowed: How many may be skipped.
    """
    listed = "\n".join(f"  {file}" for file in skipped[:5])
    files = "1 file is not a readable image"
    if count > 1:
        files = f"{count:,} files are not readable images"
    return UnreadableImagesError(
        f"{files} (at most {allowed} may be skipped):\n{listed}\n"
        "Repair or remove what is broken, or allow more to be skipped with "
        f"--set dataset.max_unreadable={max(count, 10)}."
    )
