"""Pictures of other programs are read as the 8-bit pictures that they show."""

from __future__ import annotations

import numpy as np

from tests.support.png import png
from tracking.png import from_png


def test_a_picture_of_16_bits_keeps_its_shades() -> None:
    deep = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    assert (from_png(png(deep))[:, :, 0] == np.arange(256).reshape(16, 16)).all()
