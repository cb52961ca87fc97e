"""Damage as files meet it: bits that flip, ends that are cut, merges, editors, other programs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

ODD_TEXTS = (
    b"null", b"true", b"[]", b"{}", b"-1", b"1e999", b"NaN", b"-Infinity", b"9223372036854775808",
    b"1.5", b'""', b'"x"', b'"\\u001b[31m"', b'"\\ud800"', b"[null]", b'{"a": {"b": 1}}',
    b"[" * 2_000 + b"]" * 2_000, b'"' + b"x" * 5_000 + b'"',
)  # fmt: skip
ODD_BYTES = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n\n", b"<<<<<<< HEAD\n", b"}", b",")
_VALUE = re.compile(rb'"[^"\n]*"(?!\s*:)|-?\d[\d.e+-]*|true|false|null')
_KEY = re.compile(rb'"([^"\n]*)"(?=\s*:)|^[\w.]+(?=\s*=)', re.MULTILINE)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content of a file with one to three kinds of damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(_MUTATIONS)(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content or b" ")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(ODD_BYTES + ODD_TEXTS) + content[place:]


def _remove(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 5, 50, 500)) :]


def _replace(pattern: re.Pattern[bytes], texts: tuple[bytes, ...]) -> Callable[..., bytes]:
    def replace(content: bytes, rng: random.Random) -> bytes:
        found = list(pattern.finditer(content))
        if not found:
            return content
        match = rng.choice(found)
        return content[: match.start()] + rng.choice(texts) + content[match.end() :]

    return replace


def _lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    place = rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines.insert(place, lines[rng.randrange(len(lines))])
        case 1:
            del lines[place]
        case 2:
            rng.shuffle(lines)
        case 3:
            lines[place] = rng.choice(ODD_TEXTS) + b"\n"
    return b"".join(lines)


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _cut,
    _insert,
    _remove,
    _lines,
    _replace(_VALUE, ODD_TEXTS),
    _replace(_VALUE, ODD_TEXTS),
    _replace(_KEY, (b'"step"', b'"time"', b'"sys"', b'""', b'"a/b"', b'"\\u0000"', b"x")),
)
