"""Statistics of image files, collected while they are decoded and added up over chunks.

Imports neither PyTorch nor Pillow, so that the processes that decode start faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DeepValues:
    """How the values of images with more than 8 bits were mapped to 8.

    Attributes:
        count: Number of values.
        outside: How many lay outside the range and were clipped.
        extreme: How many became black or white, 0 or 255.
        unmapped: Smallest and largest value of images without a range; None if all have one.
    """

    count: int = 0
    outside: int = 0
    extreme: int = 0
    unmapped: tuple[float, float] | None = None

    def __add__(self, other: DeepValues) -> DeepValues:
        unmapped = [each for each in (self.unmapped, other.unmapped) if each is not None]
        return DeepValues(
            self.count + other.count,
            self.outside + other.outside,
            self.extreme + other.extreme,
            (min(low for low, _ in unmapped), max(high for _, high in unmapped))
            if unmapped
            else None,
        )


@dataclass(frozen=True)
class FileStatistics:
    """Statistics of image files.

    Attributes:
        deep: How the values of images with more than 8 bits were mapped.
        kinds: Format and mode, such as `JPEG RGB` -> number of images.
        widths: Width in pixels -> number of images.
        heights: Height in pixels -> number of images.
        paged: Images with several pages or frames, of which the first was taken.
        unreadable: Images that could not be read, and are not counted otherwise.
        warnings: What may be wrong with files, in words -> number of images, and the position of
            the first.
    """

    deep: DeepValues = DeepValues()
    kinds: dict[str, int] = field(default_factory=dict)
    widths: dict[int, int] = field(default_factory=dict)
    heights: dict[int, int] = field(default_factory=dict)
    paged: int = 0
    unreadable: int = 0
    warnings: dict[str, tuple[int, int]] = field(default_factory=dict)


def merge_file_statistics(chunks: Iterable[tuple[int, FileStatistics]]) -> FileStatistics:
    """The statistics of a whole set.

    chunks: The position of each chunk's first image in the set, and the chunk's statistics.
    """
    deep, paged, unreadable = DeepValues(), 0, 0
    kinds: Counter[str] = Counter()
    widths: Counter[int] = Counter()
    heights: Counter[int] = Counter()
    warnings: dict[str, tuple[int, int]] = {}
    for first, chunk in chunks:
        deep += chunk.deep
        paged += chunk.paged
        unreadable += chunk.unreadable
        kinds.update(chunk.kinds)
        widths.update(chunk.widths)
        heights.update(chunk.heights)
        for words, (count, position) in chunk.warnings.items():
            before, earliest = warnings.get(words, (0, first + position))
            warnings[words] = before + count, min(earliest, first + position)
    return FileStatistics(
        deep, dict(kinds), dict(widths), dict(heights), paged, unreadable, warnings
    )


_MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with transparency",
    "P": "palette",
    "PA": "palette with transparency",
    "La": "grey with transparency",
    "RGBA": "RGB with transparency",
    "RGBa": "RGB with transparency",
    "RGBX": "RGB",
    "I;16": "16-bit grey",
    "I;16B": "16-bit grey",
    "I;16L": "16-bit grey",
    "I;16N": "16-bit grey",
    "I": "32-bit grey",
    "F": "float grey",
    "bool": "black and white",
    "uint8": "8-bit",
    "uint16": "16-bit",
    "float32": "32-bit float",
    "float64": "64-bit float",
}
"""Pillow's modes and NumPy's types that are not called so elsewhere, as RGB and CMYK are."""

_16_BITS_IN_MODE_I = ("PPM", "PNG")
"""Formats of at most 16 bits, which some versions of Pillow open in the mode of 32."""


def kind_in_words(kind: str) -> str:
    """One of `FileStatistics.kinds` as a reader knows it, such as `PNG grey` for `PNG L`."""
    file_format, _, mode = kind.partition(" ")
    if mode == "I" and file_format in _16_BITS_IN_MODE_I:
        mode = "I;16"
    return f"{file_format} {_MODES.get(mode, mode)}"


def range_in_words(counts: Mapping[int, int]) -> str:
    """The values of a distribution, such as `178`, or `100 to 4,000 (median 640)`."""
    values = sorted(counts)
    if len(values) == 1:
        return f"{values[0]:,}"
    before, half = 0, sum(counts.values()) / 2
    for median in values:
        before += counts[median]
        if before >= half:
            break
    return f"{values[0]:,} to {values[-1]:,} (median {median:,})"
