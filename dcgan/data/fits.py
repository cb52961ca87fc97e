"""Physical values of FITS images; Pillow reads only the stored ones.

Definition of the Flexible Image Transport System 4.0, sections 4.4.1 and 4.4.2: the physical value
is BZERO + BSCALE * stored value, and 16 bits are signed. Unsigned ones have BZERO = 32768.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

_CARD, _CARDS = 80, 36
"""Bytes per line of a header (a "card" in FITS), and lines per block."""

_UNSIGNED_ZERO = 32_768.0


def physical_values(
    source: Path | bytes, stored: npt.NDArray[np.generic]
) -> tuple[npt.NDArray[np.generic], bool]:
    """The values of an image, and whether their range is that of unsigned 16-bit integers.

    Args:
        source: The file.
        stored: The values as Pillow reads them, (H, W); 16-bit ones as if they were unsigned.
    """
    is_short = stored.dtype == np.uint16
    values = stored.view(np.int16) if is_short else stored
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        scale, zero = _scaling(file)
    if (scale, zero) != (1.0, 0.0):
        values = values.astype(np.float64) * scale + zero
    has_range = is_short and scale == 1.0 and zero in (0.0, _UNSIGNED_ZERO)
    return values, has_range and bool(values.min() >= 0)


def _scaling(file: BinaryIO) -> tuple[float, float]:
    """BSCALE and BZERO of the first image, which an empty first header may precede."""
    cards: dict[str, str] = {}
    while block := file.read(_CARD * _CARDS):
        text = block.decode("ascii", "replace")
        for start in range(0, len(text), _CARD):
            name, _, value = text[start : start + _CARD].partition("=")
            cards[name.strip()] = value.partition("/")[0].strip()
        if "END" in cards:
            if cards.get("NAXIS") != "0":
                break
            cards.clear()
    return _number(cards.get("BSCALE", "1")), _number(cards.get("BZERO", "0"))


def _number(text: str) -> float:
    """A number as FITS writes it, with D or E before the exponent; ValueError if it is not one."""
    return float(text.replace("D", "E"))
