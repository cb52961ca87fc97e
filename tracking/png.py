"""Pictures as PNG, the lossless format in which every store keeps them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracking.errors import StoreError, warn
from tracking.events import Image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def to_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A picture, uint8 (H, W, C) with C = 1 or 3 and values 0 to 255, as a PNG file."""
    import PIL.Image

    buffer = io.BytesIO()
    picture = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    PIL.Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def from_png(content: bytes) -> npt.NDArray[np.uint8]:
    """The inverse of `to_png`, for any picture: uint8 (H, W, C) with C = 1 for grey, else 3.

    Raises StoreError if the content is not a picture.
    """
    import numpy as np
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(content)) as picture:
            if picture.mode.startswith("I;16"):  # Pillow would cut off what is above 255
                pixels = (np.asarray(picture) >> 8).astype(np.uint8)
            else:
                pixels = np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"))
    except Exception as error:  # decoders raise almost anything on a damaged file
        raise StoreError("not a picture") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def read_image(path: str, step: int, time: int, content: bytes) -> Iterator[Image]:
    """The image of a run from its file; nothing, with a warning, if the file is not a picture.

    Args:
        path: The path of its series.
        step: The training step.
        time: Milliseconds since the Unix epoch.
        content: The content of the file.
    """
    try:
        pixels = from_png(content)
    except StoreError as error:
        warn(f"The image of {path} at step {step} is left out: {error}.")
    else:
        yield Image(path, step, time, pixels)
