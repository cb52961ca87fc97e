"""The sizes that images can have, and how often a DCGAN halves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

STEP, LARGEST, MNIST = 16, 512, 28


SIZES = f"{MNIST}, a multiple of {STEP} from {STEP} to {LARGEST}, or two of these multiples"
"""The sizes that images can have, in words."""


def is_size(sides: Sequence[Any]) -> bool:
    """Whether images can have this height and width."""
    return len(sides) == 2 and (tuple(sides) == (MNIST, MNIST) or all(map(_is_side, sides)))


def _check_size(value: Any) -> int | tuple[int, int]:
    """One side of a square, or height and width; equal values become one."""
    sides = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if is_size(sides):
        height, width = sides
        return height if height == width else (height, width)
    raise PydanticCustomError(
        "image_size", "it should be {sizes} as [height, width], such as [64, 96]", {"sizes": SIZES}
    )


def _is_side(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and STEP <= value <= LARGEST and value % STEP == 0


ImageSize: TypeAlias = Annotated[
    int | tuple[int, int],
    PlainValidator(_check_size),
    PlainSerializer(lambda size: size, Any),  # otherwise Pydantic warns about its own list
]
"""The side of square images, or height and width, in pixels."""


def sides_of(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width in pixels."""
    return (size, size) if isinstance(size, int) else size


def size_in_words(size: int | tuple[int, int]) -> str:
    """Width and height in the usual notation, such as `96x64`."""
    height, width = sides_of(size)
    return f"{width}x{height}"


def halvings(size: int | tuple[int, int]) -> int:
    """How often a DCGAN halves images: until the shorter side has 4 to 7 pixels.

    Images of 48 pixels are halved to 3, as Radford's of 64 to 4.
    """
    shorter = min(sides_of(size))
    return 4 if shorter == 48 else shorter.bit_length() - 3


def halved_sides(size: int | tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of the images and after each halving, rounded down."""
    height, width = sides_of(size)
    return [(height >> times, width >> times) for times in range(halvings(size) + 1)]
