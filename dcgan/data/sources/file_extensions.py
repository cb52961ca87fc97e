"""Which files are images, by their extensions, and how the others are reported."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import PIL.Image

from tracking.wording import plural

_HEIF = (".heic", ".heif", ".hif")
_PICTURES = (
    *(*_HEIF, ".avif", ".jxl", ".svg"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
)
"""Extensions of pictures that some versions of Pillow cannot read, such as raw camera files."""

_NO_PICTURES = ("BUFR", "GRIB", "HDF5", "MPEG", "PALM", "PDF")
"""Formats whose extensions Pillow registers, but which it only writes or recognises."""

_MAX_EXTENSIONS = 8


def images_among(names: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """The names with an extension that Pillow reads, and a count of every other extension.

    Extensions are in lower case, the most frequent first; that of a name without one is empty.
    """
    formats = PIL.Image.registered_extensions()
    readable = tuple(each for each, name in formats.items() if name not in _NO_PICTURES)
    images: list[str] = []
    others: Counter[str] = Counter()
    for name in names:
        if name.lower().endswith(readable):
            images.append(name)
        else:
            others[PurePosixPath(name).suffix.lower()] += 1
    return images, dict(sorted(others.items(), key=lambda item: (-item[1], item[0])))


def extensions_in_words(extensions: Mapping[str, int]) -> str:
    """How many files have which extension: `41 .heic, 1 .mov`."""
    shown = list(extensions.items())[:_MAX_EXTENSIONS]
    more = sum(extensions.values()) - sum(count for _, count in shown)
    named = [f"{count:,} {extension or 'without an ending'}" for extension, count in shown]
    return ", ".join([*named, f"{more:,} others"] if more else named)


def unreadable_extension_warnings(extensions: Mapping[str, int]) -> Iterator[str]:
    """One sentence, without a full stop, for each kind of picture that is left out."""
    for extension, count in extensions.items():
        if extension in _PICTURES:
            files, them = plural(count, f"{extension} file"), "it" if count == 1 else "them"
            by = ", for example with heif-convert" if extension in _HEIF else ""
            yield (
                f"{files} {'is' if count == 1 else 'are'} left out: Pillow cannot read {them}. "
                f"Convert {them} to JPEG{by}"
            )


def idx_advice(names: Iterable[str], folder: Path) -> str:
    """A line on how to train on MNIST's files, if there are any; else empty."""
    if not any(name.removesuffix(".gz").endswith("-ubyte") for name in names):
        return ""
    return (
        "\nIt holds files in MNIST's format, which recipes of MNIST read: "
        f"dcgan train mnist-ablation --data {shlex.quote(str(folder))}"
    )
