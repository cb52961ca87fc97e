"""Which files are images, by the endings of their names, and how the others are reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

import PIL.Image

from tracking.wording import plural

_HEIF = (".heic", ".heif", ".hif")
_PICTURES = (
    *(*_HEIF, ".avif", ".jxl", ".svg"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
)
"""Of pictures that some or all versions of Pillow cannot read, such as cameras' raw files."""

_MAX_ENDINGS = 8


def images_among(names: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """The names with an ending that Pillow reads, and a count of every other ending.

    The endings are in lower case, the most frequent first; that of a name without one is empty.
    """
    readable = tuple(PIL.Image.registered_extensions())
    images: list[str] = []
    others: Counter[str] = Counter()
    for name in names:
        if name.lower().endswith(readable):
            images.append(name)
        else:
            others[PurePosixPath(name).suffix.lower()] += 1
    return images, dict(sorted(others.items(), key=lambda item: (-item[1], item[0])))


def endings_in_words(endings: Mapping[str, int]) -> str:
    """How many files have which ending: `41 .heic, 1 .mov`."""
    shown = list(endings.items())[:_MAX_ENDINGS]
    more = sum(endings.values()) - sum(count for _, count in shown)
    named = [f"{count:,} {ending or 'without an ending'}" for ending, count in shown]
    return ", ".join([*named, f"{more:,} others"] if more else named)


def warnings_of_pictures(endings: Mapping[str, int]) -> Iterator[str]:
    """One sentence, without a full stop, for each kind of picture that is left out."""
    for ending, count in endings.items():
        if ending in _PICTURES:
            is_are, them = ("is", "it") if count == 1 else ("are", "them")
            by = ", for example with heif-convert" if ending in _HEIF else ""
            yield (
                f"{plural(count, f'{ending} file')} {is_are} left out: Pillow cannot read {them}. "
                f"Convert {them} to JPEG{by}"
            )
