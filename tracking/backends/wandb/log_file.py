"""The log of a run, `run-<id>.wandb`: records of the client in the framing of LevelDB's logs.

Blocks of 32 KiB hold frames: checksum, length and type in seven bytes, then the data. A record is
one frame or is split into several; a block is padded with zeros if no frame fits. See
https://github.com/google/leveldb/blob/main/doc/log_format.md. The checksum is zlib's CRC-32.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracking.backends.wandb.layout import INSTALL
from tracking.errors import StoreError

START = 7
"""The offset of the first frame, after the magic number and the version."""

_MAGIC = b":W&B"
_BLOCK = 32 * 1024
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(file: Path, start: int = START) -> Iterator[tuple[Any, int]]:
    """The records of a log in the order of writing.

    Args:
        file: The log; it may still be written to, and an incomplete end is left out.
        start: The offset at which a record begins.

    Yields:
        A `wandb_internal_pb2.Record`, and the offset of its end.

    Raises:
        StoreError: The file is not a W&B log, or is damaged after what was yielded, or the client
            is not installed.
    """
    try:
        from wandb.proto.wandb_internal_pb2 import Record
    except ModuleNotFoundError as error:
        raise StoreError(INSTALL) from error
    for content, end in _read_contents(file, start):
        try:
            yield Record.FromString(content), end
        except Exception as error:  # protobuf's implementations raise different exceptions
            raise StoreError(f"{file} has a damaged record before byte {end:,}") from error


def _read_contents(file: Path, start: int) -> Iterator[tuple[bytes, int]]:
    with file.open("rb") as stream:
        magic = stream.read(len(_MAGIC))
        if magic and not _MAGIC.startswith(magic):
            raise StoreError(f"{file} is not a W&B log")
        stream.seek(start)
        data = stream.read()
    at, parts = 0, b""
    while len(data) - at >= _HEADER.size:
        left = _BLOCK - (start + at) % _BLOCK
        if left < _HEADER.size:
            at += left
            continue
        checksum, length, kind = _HEADER.unpack_from(data, at)
        if not (checksum or length or kind):
            return  # not written yet
        content = data[at + _HEADER.size : at + _HEADER.size + length]
        if len(content) < length:
            return
        at += _HEADER.size + length
        if zlib.crc32(bytes([kind]) + content) != checksum or kind not in range(_FULL, _LAST + 1):
            raise StoreError(f"{file} is damaged before byte {start + at:,}")
        parts = content if kind in (_FULL, _FIRST) else parts + content
        if kind in (_FULL, _LAST):
            yield parts, start + at
