"""Decodes image files and arrays into the pixels that the networks see.

Imports no PyTorch, so that the processes that decode a data set start at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

from dcgan.data.file_statistics import DeepValues, FileStatistics, merge_file_statistics
from dcgan.data.fits import physical_values

Pixels: TypeAlias = npt.NDArray[np.uint8]

ValueRange: TypeAlias = tuple[float, float] | Literal["auto", "percentile"]
"""The values of images with more than 8 bits that become black and white.

`auto` is the range of the type, which float and 32-bit images do not have; `percentile` is the
first and the last percentile of each image.
"""


@dataclass(frozen=True)
class ImageFormat:
    """The format to which every image of a set is converted.

    Attributes:
        sides: Height and width in pixels.
        channels: 1 for grey, 3 for RGB.
        fit: `crop` resizes the shorter side and crops the centre; `stretch` resizes both sides.
        value_range: Black and white of images with more than 8 bits.
        background: The colour of transparent parts, in Pillow's notation.
        max_pixels: Files with more pixels are not read; None for no limit.
    """

    sides: tuple[int, int]
    channels: Literal[1, 3]
    fit: Literal["crop", "stretch"]
    value_range: ValueRange = "auto"
    background: str = "white"
    max_pixels: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, *self.sides)

    def __str__(self) -> str:
        height, width = self.sides
        resized = {
            "crop": f"resize to cover {width}x{height} (bilinear), centre-crop",
            "stretch": f"resize {width}x{height} (bilinear)",
        }
        if height == width:
            resized["crop"] = f"resize shorter side {width} (bilinear), centre-crop {width}"
        text = f"{resized[self.fit]}, {'grey' if self.channels == 1 else 'RGB'}"
        if self.background != "white":
            text += f", transparent parts {self.background}"
        match self.value_range:
            case "auto":
                return text
            case "percentile":
                return f"{text}, percentiles 1 to 99 of deep images from black to white"
            case low, high:
                return f"{text}, values {low:g} to {high:g} of deep images from black to white"


@dataclass(frozen=True)
class Decoded:
    """The result of decoding some images.

    Attributes:
        pixels: The images that could be read, in their order, (n, C, H, W).
        unreadable: Why the others could not be read, by their position in the input.
        file_statistics: Statistics of the files.
    """

    pixels: Pixels
    unreadable: dict[int, str]
    file_statistics: FileStatistics


Images: TypeAlias = Sequence[Path] | Sequence[bytes] | npt.NDArray[np.generic]
"""Files, the bytes of files, or an array (N, H, W) or (N, H, W, C)."""


def decode(images: Images, image_format: ImageFormat) -> Decoded:
    """Convert images to `image_format`."""
    pixels, unreadable, statistics = [], {}, []
    with _limiting_pixels(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for position, image in enumerate(images):
            try:
                picture, of_file = _read(image, image_format)
            except UNREADABLE as error:
                unreadable[position] = _reason(error)
                statistics.append((position, FileStatistics(unreadable=1)))
                continue
            finally:
                messages = {_in_own_words(str(each.message)): (1, 0) for each in caught}
                caught.clear()
            statistics.append((position, dataclasses.replace(of_file, warnings=messages)))
            pixels.append(_fit(picture, image_format))
    array = np.stack(pixels) if pixels else np.empty((0, *image_format.shape), np.uint8)
    return Decoded(array, unreadable, merge_file_statistics(statistics))


@contextmanager
def _limiting_pixels() -> Iterator[None]:
    """Lift Pillow's global limit; `ImageFormat.max_pixels` takes its place."""
    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit


_WARNINGS = {
    "corrupt exif": "their EXIF data are damaged, so that they may not be turned upright",
    "truncated": "they are cut off, and what is missing may be grey",
    "metadata warning": "their TIFF tags are damaged",
    "palette images with transparency": "their palette's transparency is damaged",
}
"""Part of a Pillow warning, in lower case -> its meaning for the images."""


def _in_own_words(warning: str) -> str:
    for part, words in _WARNINGS.items():
        if part in warning.lower():
            return words
    return f"Pillow warns: {warning.strip().splitlines()[0][:120]}"


def _reason(error: Exception) -> str:
    """Why an image cannot be read, without memory addresses that some messages have."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return "cannot identify image file"
    return str(error) or type(error).__name__


@dataclass(frozen=True)
class Written:
    """The result of `decode_to`.

    Attributes:
        count: Images whose pixels were written, without gaps from the first row on.
        digest: The digest of these pixels, as `pixels_digest` computes it.
        unreadable: Why images could not be read, by their position in the input.
        file_statistics: Statistics of the files.
    """

    count: int
    digest: str
    unreadable: dict[int, str]
    file_statistics: FileStatistics


def decode_to(file: Path, row: int, images: Images, image_format: ImageFormat) -> Written:
    """Decode images and write their pixels into a file.

    The decoding process also writes, because sending the pixels to another process would add an
    eighth to the time of decoding.

    Args:
        file: An existing file of raw pixels (N, C, H, W).
        row: Index in that file of the first image.
        images: What is decoded.
        image_format: The format to which they are converted.
    """
    decoded = decode(images, image_format)
    with file.open("r+b") as pixels:
        pixels.seek(row * math.prod(image_format.shape))
        pixels.write(decoded.pixels.data)
    digest = pixels_digest(decoded.pixels.data)
    return Written(len(decoded.pixels), digest, decoded.unreadable, decoded.file_statistics)


def pixels_digest(pixels: bytes | memoryview) -> str:
    """A digest of pixels, which tells copies, and a file that is not completely written."""
    return hashlib.blake2b(pixels, digest_size=16).hexdigest()


def file_digests(files: Sequence[Path]) -> list[bytes]:
    """SHA-256 of the bytes of each file; for an unreadable one, the error's text."""
    digests = []
    for file in files:
        try:
            with file.open("rb") as content:
                digests.append(hashlib.file_digest(content, "sha256").digest())
        except OSError as error:
            digests.append(str(error.strerror).encode())
    return digests


def read_image(file: Path) -> PIL.Image.Image:
    """Open an image in mode L or RGB, rotated by its EXIF data, with transparent parts white.

    16 bits per pixel are scaled to 8; Pillow would clip them. Raises one of `UNREADABLE`, also for
    float or 32-bit values, whose range is not known.
    """
    picture, statistics = _read(file, ImageFormat((1, 1), 3, "crop"))
    if statistics.deep.unmapped is not None:
        raise ValueError("its float or 32-bit values have no range that is known")
    return picture


def _read(
    source: Path | bytes | npt.NDArray[np.generic], image_format: ImageFormat
) -> tuple[PIL.Image.Image, FileStatistics]:
    """An image in mode L or RGB, and the statistics of its file."""
    if isinstance(source, np.ndarray):
        kind, height, width = f"array {source.dtype}", *source.shape[:2]
        paged = False
        if source.dtype == np.uint8:
            picture, deep = _flattened(PIL.Image.fromarray(source), image_format), DeepValues()
        else:
            # Not compared with np.uint16, which has the byte order of this machine.
            is_16_bits = source.dtype.kind == "u" and source.dtype.itemsize == 2
            type_range = (0.0, 65_535.0) if is_16_bits else None
            picture, deep = _to_8_bits(source, _range(image_format, type_range))
            picture = _flattened(picture, image_format)
    else:
        with PIL.Image.open(BytesIO(source) if isinstance(source, bytes) else source) as opened:
            kind, (width, height) = f"{opened.format} {opened.mode}", opened.size
            if image_format.max_pixels is not None and width * height > image_format.max_pixels:
                raise ValueError(
                    f"it has {width * height:,} pixels, and dataset.max_pixels is "
                    f"{image_format.max_pixels:,}"
                )
            # Formats with 32 bits are opened in the same mode as PGM with 16, and PFM, with floats,
            # in its format.
            has_type_range = opened.mode.startswith("I;16") or (
                opened.format in ("PPM", "PNG") and opened.mode != "F"
            )
            is_fits = opened.format == "FITS"
            image = PIL.ImageOps.exif_transpose(opened)
            paged = _has_more_pages(opened)
        if image.mode == "F" or image.mode.startswith("I"):
            values: npt.NDArray[np.generic] = np.asarray(image)
            if is_fits:
                values, has_type_range = physical_values(source, values)
            type_range = (0.0, 65_535.0) if has_type_range else None
            picture, deep = _to_8_bits(values, _range(image_format, type_range))
        else:
            picture, deep = _flattened(image, image_format), DeepValues()
    return picture, FileStatistics(deep, {kind: 1}, {width: 1}, {height: 1}, int(paged))


def _range(image_format: ImageFormat, type_range: tuple[float, float] | None) -> ValueRange | None:
    return type_range if image_format.value_range == "auto" else image_format.value_range


def _has_more_pages(opened: PIL.Image.Image) -> bool:
    """Whether a file has further pages or frames; False if the second is damaged."""
    with contextlib.suppress(*UNREADABLE):
        return bool(getattr(opened, "is_animated", False))
    return False


def _to_8_bits(
    values: npt.NDArray[np.generic], value_range: ValueRange | None
) -> tuple[PIL.Image.Image, DeepValues]:
    """Map values (H, W) or (H, W, C) to 8 bits; black all over if there is no range."""
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("it has values that are not finite")
    colours = numbers[:, :, :3] if numbers.ndim == 3 else numbers  # without opacity
    if value_range is None:
        unmapped = float(colours.min()), float(colours.max())
        black = PIL.Image.fromarray(np.zeros(values.shape, np.uint8))
        return black, DeepValues(unmapped=unmapped)
    if isinstance(value_range, str):
        low, high = np.percentile(colours, (1, 99))
    else:
        low, high = value_range
    grey = ((numbers - low) / max(high - low, np.finfo(np.float64).tiny)).clip(0, 1) * 255
    # Rounded down, as in earlier versions, so that the pixels of 16-bit images do not change.
    pixels = np.floor(grey + 1e-9).astype(np.uint8)
    is_outside = () if isinstance(value_range, str) else (colours < low) | (colours > high)
    shown = pixels[:, :, :3] if pixels.ndim == 3 else pixels
    deep = DeepValues(
        count=colours.size,
        outside=int(np.count_nonzero(is_outside)),
        extreme=int(np.count_nonzero((shown == 0) | (shown == 255))),
    )
    return PIL.Image.fromarray(pixels), deep


def _flattened(image: PIL.Image.Image, image_format: ImageFormat) -> PIL.Image.Image:
    """The image in mode L or RGB, transparent parts in the colour of the background."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = PIL.Image.new("RGBA", image.size, image_format.background)
        image = PIL.Image.alpha_composite(background, image)
    return image if image.mode == "L" else image.convert("RGB")


UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,  # a broken PNG
    ValueError,
    EOFError,
    PIL.Image.DecompressionBombError,
)
"""The exceptions of `read_image` for a file that is broken or not an image."""


_LARGEST_RESIZED = 2**26
"""Pixels above which an image is not resized as a whole to keep its centre: a line of 60,000 x 1
pixels covers a square of 512 with 16 billion. Rounding makes the two ways differ a little.
"""


def _fit(image: PIL.Image.Image, image_format: ImageFormat) -> Pixels:
    """(C, H, W), as from torchvision's Resize and CenterCrop, including their rounding."""
    height, width = image_format.sides
    bilinear = PIL.Image.Resampling.BILINEAR
    if image_format.fit == "stretch":
        image = image.resize((width, height), bilinear)
    elif image.size != (width, height):
        # The side that is resized exactly, so that the other one is at least as long as needed.
        if image.width * height <= image.height * width:
            covering = width, int(width * image.height / image.width)
        else:
            covering = int(height * image.width / image.height), height
        left, top = round((covering[0] - width) / 2), round((covering[1] - height) / 2)
        kept = left, top, left + width, top + height
        if math.prod(covering) <= _LARGEST_RESIZED:
            image = image.resize(covering, bilinear).crop(kept)
        else:
            across, down = image.width / covering[0], image.height / covering[1]
            right, bottom = min(kept[2] * across, image.width), min(kept[3] * down, image.height)
            box = left * across, top * down, right, bottom
            image = image.resize((width, height), bilinear, box=box)
    array = np.asarray(image.convert("L" if image_format.channels == 1 else "RGB"))
    return np.ascontiguousarray(array.reshape(height, width, -1).transpose(2, 0, 1))
