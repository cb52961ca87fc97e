"""From image files and arrays to the pixels that the networks see.

Imports no PyTorch: the processes that decode a data set import only this module, so that they
start at once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

Pixels: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Form:
    """The size and the channels that every image of a set is converted to.

    Attributes:
        image_size: Height and width in pixels.
        channels: 1 for grey, 3 for RGB.
        fit: `crop` resizes the shorter side and crops the centre; `stretch` resizes both sides.
    """

    image_size: int
    channels: Literal[1, 3]
    fit: Literal["crop", "stretch"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.image_size, self.image_size)

    def __str__(self) -> str:
        size = self.image_size
        resized = {
            "crop": f"resize shorter side {size} (bilinear), centre-crop {size}",
            "stretch": f"resize {size}x{size} (bilinear)",
        }
        return f"{resized[self.fit]}, {'grey' if self.channels == 1 else 'RGB'}"


@dataclass(frozen=True)
class Decoded:
    """The result of decoding some images.

    Attributes:
        pixels: The images that could be read, in their order, (n, C, H, W).
        unreadable: Why the others could not be read, by their position in the input.
    """

    pixels: Pixels
    unreadable: dict[int, str]


def decode(images: Sequence[Path] | Pixels, form: Form) -> Decoded:
    """Convert image files, or an array (N, H, W[, 3]), to `form`."""
    pixels, unreadable = [], {}
    for position, image in enumerate(images):
        if isinstance(image, Path):
            try:
                picture = read_image(image)
            except UNREADABLE as error:
                unreadable[position] = str(error) or type(error).__name__
                continue
        else:
            picture = PIL.Image.fromarray(image)
        pixels.append(_fit(picture, form))
    return Decoded(np.stack(pixels) if pixels else np.empty((0, *form.shape), np.uint8), unreadable)


def decode_to(file: Path, row: int, images: Sequence[Path] | Pixels, form: Form) -> dict[int, str]:
    """Decode images and write their pixels into a file.

    The process that decodes also writes, because sending pixels to another process would take
    an eighth as long as decoding them.

    Args:
        file: An existing file of raw pixels (N, C, H, W).
        row: Index in that file of the first image.
        images: Files, or an array (n, H, W[, 3]).
        form: What they are converted to.

    Returns:
        Why images could not be read, by their position in `images`; those after one that is
        missing move up.
    """
    decoded = decode(images, form)
    with file.open("r+b") as pixels:
        pixels.seek(row * math.prod(form.shape))
        pixels.write(decoded.pixels.data)
    return decoded.unreadable


def file_digests(files: Sequence[Path]) -> list[bytes]:
    """SHA-256 of the bytes of each file; for one that cannot be read, the error's text."""
    digests = []
    for file in files:
        try:
            with file.open("rb") as content:
                digests.append(hashlib.file_digest(content, "sha256").digest())
        except OSError as error:
            digests.append(str(error.strerror).encode())
    return digests


def read_image(file: Path) -> PIL.Image.Image:
    """Open an image in mode L or RGB, turned as its EXIF says, transparent parts white.

    16 bits per pixel are scaled to 8, which Pillow would clip.
    """
    with PIL.Image.open(file) as opened:
        image = PIL.ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        return PIL.Image.fromarray((wide.clip(0, 65_535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = PIL.Image.new("RGBA", image.size, "white")
        image = PIL.Image.alpha_composite(white, image)
    return image if image.mode == "L" else image.convert("RGB")


UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,  # a broken PNG
    ValueError,
    EOFError,
    PIL.Image.DecompressionBombError,
)
"""What `read_image` raises for a file that is no image, or a broken one."""


def _fit(image: PIL.Image.Image, form: Form) -> Pixels:
    """(C, H, W), as from torchvision's Resize and CenterCrop, including their rounding."""
    size = form.image_size
    bilinear = PIL.Image.Resampling.BILINEAR
    if form.fit == "stretch":
        image = image.resize((size, size), bilinear)
    elif image.size != (size, size):
        shorter = min(image.size)
        width, height = (
            size if side == shorter else int(size * side / shorter) for side in image.size
        )
        left, top = round((width - size) / 2), round((height - size) / 2)
        image = image.resize((width, height), bilinear).crop((left, top, left + size, top + size))
    array = np.asarray(image.convert("L" if form.channels == 1 else "RGB"))
    return np.ascontiguousarray(array.reshape(size, size, -1).transpose(2, 0, 1))
