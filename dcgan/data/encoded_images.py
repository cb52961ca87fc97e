"""Images as the bytes of their files, read on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True, eq=False)
class EncodedImages(Sequence[bytes]):
    """The bytes of each image of an archive or a table.

    Attributes:
        size: Number of images.
        read: From an index, 0 to `size` - 1, to the bytes; empty for a missing image, which
            decoding counts as unreadable.
    """

    size: int
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, key: int) -> bytes: ...
    @overload
    def __getitem__(self, key: slice) -> list[bytes]: ...
    def __getitem__(self, key: int | slice) -> bytes | list[bytes]:
        if isinstance(key, slice):
            return [self.read(index) for index in range(self.size)[key]]
        return self.read(range(self.size)[key])
