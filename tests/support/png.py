"""Pictures as the bytes of a file."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
