"""Pictures as PNG, the lossless format in which every store keeps them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

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
    """The inverse of `to_png`: uint8 (H, W, C). Raises OSError if the content is not a picture."""
    import numpy as np
    import PIL.Image

    pixels = np.asarray(PIL.Image.open(io.BytesIO(content)))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
