"""A zstd-compressed file as a stream that can seek backwards."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

_BLOCK = 2**20


class ZstdStream(io.RawIOBase):
    """The bytes of a zstd-compressed file; seeking backwards decompresses from the start.

    Python has zstd from 3.14 on; until then pyarrow's is used.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._start()

    def _start(self) -> None:
        import pyarrow

        self._stream: Any = pyarrow.input_stream(str(self._path), compression="zstd")
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, less at the end; returns how many bytes were read."""
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position before the end; seeking from the end is not supported."""
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the length is not known")
        target = offset + (self._position if whence == os.SEEK_CUR else 0)
        if target < self._position:
            self._start()
        while self._position < target:
            skipped = len(self._stream.read(min(_BLOCK, target - self._position)))
            if not skipped:
                break
            self._position += skipped
        return self._position

    def tell(self) -> int:
        """Bytes before the position."""
        return self._position
