"""Paths as names that MLflow accepts for params, metrics, tags and image series.

A character that MLflow refuses becomes `_xHEX_`, with its code point: `acc@1` is `acc_x40_1`.
"""

from __future__ import annotations

import re
import sys

MAX_NAME_LENGTH = 250

_ESCAPE = re.compile(r"_x([0-9a-f]*)_")
_EMPTY = "_x_"
# Leading, trailing and double slashes and leading dots of segments would change the path.
_ALWAYS = r"^/|(?<=/)/|/$|(?:(?<=/)|^)\."


def _refused(characters: str) -> re.Pattern[str]:
    """The pattern of what is escaped, including an underscore that looks like an escape."""
    refused = rf"{characters}|{_ALWAYS}"
    return re.compile(rf"{refused}|_(?=x[0-9a-f]*(?:_|{refused}))")


_REFUSED = _refused(r"[^\w/.\- :]")
_REFUSED_IN_IMAGES = _refused(r"[^a-zA-Z0-9_/.\- ]")


def to_mlflow(path: str, *, of_images: bool = False) -> str:
    """MLflow's name for a path; for most paths the path itself.

    Args:
        path: The path of a field, a metric or a series of images.
        of_images: Whether it is a series of images, whose names must be ASCII.
    """
    refused = _REFUSED_IN_IMAGES if of_images else _REFUSED
    return refused.sub(lambda match: f"_x{ord(match[0]):x}_", path) or _EMPTY


def from_mlflow(name: str) -> str:
    """The inverse of `to_mlflow`."""
    return _ESCAPE.sub(_unescape, name)


def _unescape(match: re.Match[str]) -> str:
    """The character of an escape; nothing for an empty path's; unchanged if the code is invalid."""
    code = int(match[1] or "0", 16)
    return match[0] if code > sys.maxunicode else chr(code) if match[1] else ""
