"""Pictures in the terminal's graphics protocols: kitty's, iTerm2's inline images, and sixel.

https://sw.kovidgoyal.net/kitty/graphics-protocol/, https://iterm2.com/documentation-images.html,
and chapter 14 of DEC's VT330/VT340 Programmer Reference Manual, volume 2.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import ControlType, Segment

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

_SAVE_CURSOR, _RESTORE_CURSOR = "\x1b7", "\x1b8"
_KITTY_CHUNK = 4096
_BAND_HEIGHT = 6
_FIRST_CHARACTER = 63
_MAX_COLOURS = 256
_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)


@dataclass(frozen=True)
class GraphicPicture:
    """A picture for Rich's layout: blank lines, over which the terminal then draws.

    It takes one line more than the picture. The picture is drawn from that line after all lines
    are printed, because some terminals erase a picture where characters are printed over it.

    Attributes:
        code: The escape sequence that draws the picture with its upper left corner at the cursor.
        columns: Characters per line.
        lines: Lines that the picture takes.
    """

    code: str
    columns: int
    lines: int

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.columns, self.columns)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for _ in range(self.lines):
            yield Segment(" " * self.columns)
            yield Segment.line()
        up = f"\x1b[{self.lines}A"
        drawing = f"{_SAVE_CURSOR}{up}{self.code}{_RESTORE_CURSOR}"
        # Rich does not count control codes as width, and strips them from pipes.
        yield Segment(drawing, None, [(ControlType.CURSOR_UP, self.lines)])


def kitty_code(picture: PIL.Image.Image, columns: int, lines: int, identifier: int) -> str:
    """The escape sequence that draws a picture in kitty and terminals with its protocol.

    Args:
        picture: In RGB or RGBA.
        columns: Characters that the picture is stretched to.
        lines: Lines that it is stretched to.
        identifier: 1 to 2**32 - 1; a picture with the same one is replaced.
    """
    payload = base64.standard_b64encode(_png(picture)).decode()
    chunks = [payload[at : at + _KITTY_CHUNK] for at in range(0, len(payload), _KITTY_CHUNK)]
    # Display (a=T) a PNG (f=100), do not move the cursor (C=1), and answer nothing (q=2).
    first = f"a=T,f=100,i={identifier},p=1,c={columns},r={lines},C=1,q=2,"
    parts = []
    for number, chunk in enumerate(chunks):
        more = int(number < len(chunks) - 1)
        parts.append(f"\x1b_G{'' if number else first}m={more};{chunk}\x1b\\")
    return "".join(parts)


def iterm_code(picture: PIL.Image.Image, columns: int, lines: int) -> str:
    """The escape sequence that draws a picture in iTerm2 and WezTerm.

    Args:
        picture: In RGB or RGBA.
        columns: Characters that the picture is stretched to.
        lines: Lines that it is stretched to.
    """
    png = _png(picture)
    size = f"size={len(png)};width={columns};height={lines};preserveAspectRatio=0"
    return f"\x1b]1337;File=inline=1;{size}:{base64.standard_b64encode(png).decode()}\x07"


def sixel_code(picture: PIL.Image.Image) -> str:
    """The escape sequence that draws an RGB picture as sixels: six lines at a time, by colour.

    Colours are percentages; more than 256 of them are reduced to the 256 nearest.
    """
    import numpy as np

    colours, indices = _palette(picture)
    height, width = indices.shape
    parts = [f'\x1bP0;1q"1;1;{width};{height}']
    parts += [f"#{number};2;{r};{g};{b}" for number, (r, g, b) in enumerate(colours)]
    for top in range(0, height, _BAND_HEIGHT):
        band = indices[top : top + _BAND_HEIGHT]
        bits = 1 << np.arange(len(band))[:, None]
        rows = [
            f"#{colour}{_run_lengths(((band == colour) * bits).sum(axis=0))}"
            for colour in np.unique(band)
        ]
        parts.append("$".join(rows) + "-")
    return "".join(parts) + "\x1b\\"


def _palette(picture: PIL.Image.Image) -> tuple[list[list[int]], np.ndarray]:
    """The colours in percent, and the number of the colour of each pixel (H, W)."""
    import numpy as np
    import PIL.Image

    percent = np.rint(np.asarray(picture, np.float32) * (100 / 255)).astype(np.uint8)
    height, width, _ = percent.shape
    colours, indices = np.unique(percent.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) > _MAX_COLOURS:
        reduced = PIL.Image.fromarray(percent).quantize(_MAX_COLOURS, dither=PIL.Image.Dither.NONE)
        indices = np.asarray(reduced)
        colours = np.asarray(reduced.getpalette(), np.uint8).reshape(-1, 3)
    return colours.tolist(), indices.reshape(height, width)


def _run_lengths(bits: np.ndarray) -> str:
    """Columns of six pixels as characters; four equal ones and more as their number."""
    characters = (bits + _FIRST_CHARACTER).astype("uint8").tobytes().rstrip(b"?")
    return _RUN.sub(lambda run: b"!%d%c" % (len(run[0]), run[0][0]), characters).decode()


def _png(picture: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
