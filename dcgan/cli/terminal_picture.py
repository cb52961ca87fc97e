"""Pictures in the terminal, by its graphics protocol or as half blocks of two pixels.

Terminals are recognised by their environment variables. A query would have to wait for an answer
that may never come, and could take the user's typing for the answer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import PIL.Image
import typer
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from dcgan.cli.terminal_graphics import GraphicPicture, iterm_code, kitty_code, sixel_code
from tracking.events import GRID_PADDING

Protocol: TypeAlias = Literal["kitty", "iterm", "sixel", "blocks", "none"]
Picture: TypeAlias = Text | GraphicPicture

Pictures = Annotated[
    Literal["auto", Protocol],
    typer.Option(
        "--pictures",
        envvar="DCGAN_PICTURES",
        help="How the terminal shows images: by its own graphics, as half blocks, or not at all.",
    ),
]

_UPPER_HALF = "\N{UPPER HALF BLOCK}"
_MIN_PIXELS = 16
"""The minimum number of pixels per side at which images are recognisable."""

_MULTIPLEXERS = ("TMUX", "STY", "ZELLIJ")
"""Variables set by programs that do not pass graphics on to the terminal."""

_KONSOLE_WITH_GRAPHICS = 220_400
_USUAL_CELL, _SMALL_CELL = (8, 16), (6, 12)


@dataclass(frozen=True)
class Drawing:
    """How a terminal draws pictures.

    Attributes:
        protocol: Its graphics, or half blocks.
        cell: Width and height of a character, in pixels of the picture.
    """

    protocol: Protocol
    cell: tuple[int, int]


def drawing_of(console: Console, wanted: str = "auto") -> Drawing | None:
    """How a console shows pictures; None if it cannot, or if the user wants none.

    A pipe never gets graphics, and half blocks need at least 256 colours.

    Args:
        console: Where to print.
        wanted: A protocol, or `auto` for the best that the terminal is known to support.
    """
    is_terminal = console.is_terminal and console.file.isatty() and not console.is_dumb_terminal
    protocol = detect_protocol(os.environ) if wanted == "auto" else wanted
    if protocol in ("kitty", "iterm", "sixel") and is_terminal and not console.legacy_windows:
        # If pixels were smaller than assumed, a picture would not fit.
        usual = _SMALL_CELL if protocol == "sixel" else _USUAL_CELL
        return Drawing(protocol, _cell_size(console) or usual)  # type: ignore[arg-type]
    if protocol == "none" or console.color_system not in ("256", "truecolor", "windows"):
        return None
    return Drawing("blocks", (1, 2))


def detect_protocol(environment: Mapping[str, str]) -> Protocol:
    """The best graphics protocol of the terminal, judging by its environment variables."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.keys() & {*_MULTIPLEXERS} or term.startswith(("screen", "tmux")):
        return "blocks"
    if term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if term.startswith(("foot", "mlterm", "contour", "yaft")) or program == "mintty":
        return "sixel"
    # Terminals started from kitty or Konsole inherit its variables and add their own.
    is_another = bool(program) or "VTE_VERSION" in environment or not term.startswith("xterm")
    is_kitty = "KITTY_WINDOW_ID" in environment or _is_konsole_with_graphics(environment)
    return "kitty" if is_kitty and not is_another else "blocks"


def _is_konsole_with_graphics(environment: Mapping[str, str]) -> bool:
    version = environment.get("KONSOLE_VERSION", "")
    return version.isdecimal() and int(version) >= _KONSOLE_WITH_GRAPHICS


def grid_picture(
    file: Path, sides: tuple[int, int], room: tuple[int, int], drawing: Drawing
) -> Picture | None:
    """The first images of a grid, as many as are recognisable; None if the file is unreadable.

    Args:
        file: The grid, as a training writes it.
        sides: Height and width of its images, in pixels.
        room: Characters per line, and lines.
        drawing: How the terminal draws.
    """
    try:
        return _grid_picture(file, file.stat().st_mtime_ns, sides, room, drawing)
    except (OSError, ValueError):  # the file is being written, or is damaged
        return None


@lru_cache(maxsize=1)  # every frame shows the same picture until there is a new grid
def _grid_picture(
    file: Path, _changed: int, sides: tuple[int, int], room: tuple[int, int], drawing: Drawing
) -> Picture:
    with PIL.Image.open(file) as opened:
        grid = opened.convert("RGB")
    return first_images(grid, sides, room, drawing)


def first_images(
    grid: PIL.Image.Image, sides: tuple[int, int], room: tuple[int, int], drawing: Drawing
) -> Picture:
    """The first images of a grid, as many as are recognisable.

    Args:
        grid: The grid, in RGB.
        sides: Height and width of its images, in pixels.
        room: Characters per line, and lines.
        drawing: How the terminal draws.
    """
    columns, lines = room
    if drawing.protocol != "blocks":
        lines = max(1, lines - 1)  # a picture is drawn from the last line
    width, height = columns * drawing.cell[0], lines * drawing.cell[1]
    shown = _crop(grid, sides, width, height)
    if drawing.protocol == "blocks":
        scale = min(width / shown.width, height / shown.height)
        columns = max(1, round(shown.width * scale))
        lines = max(1, round(shown.height * scale / 2))
        return half_blocks(shown.resize((columns, 2 * lines), PIL.Image.Resampling.BOX))
    return _graphic(_fit(shown, width, height), drawing)


def half_blocks(picture: PIL.Image.Image) -> Text:
    """A picture of RGB pixels whose height is even."""
    pixels = picture.load()
    assert pixels is not None
    text = Text(no_wrap=True)
    for top in range(0, picture.height, 2):
        for column in range(picture.width):
            upper, lower = (
                Color.from_rgb(*pixels[column, row])  # type: ignore[misc]
                for row in (top, top + 1)
            )
            text.append(_UPPER_HALF, Style(color=upper, bgcolor=lower))
        text.append("\n")
    text.rstrip()
    return text


def _crop(
    grid: PIL.Image.Image, sides: tuple[int, int], width: int, height: int
) -> PIL.Image.Image:
    """As many images as fit into this many pixels if each gets the fewest that it needs."""
    high, wide = (side + GRID_PADDING for side in sides)
    # Of images that are not square, the shorter side has the least pixels.
    least = _MIN_PIXELS / min(high, wide)
    across = max(1, min((grid.width - GRID_PADDING) // wide, int(width / (least * wide))))
    down = max(1, min((grid.height - GRID_PADDING) // high, int(height / (least * high))))
    return grid.crop((0, 0, across * wide + GRID_PADDING, down * high + GRID_PADDING))


def _fit(picture: PIL.Image.Image, width: int, height: int) -> PIL.Image.Image:
    """A picture enlarged by a whole factor, or reduced, to fit this many pixels."""
    scale = min(width / picture.width, height / picture.height)
    if scale >= 1:
        return picture.resize(
            (int(scale) * picture.width, int(scale) * picture.height),
            PIL.Image.Resampling.NEAREST,
        )
    size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
    return picture.resize(size, PIL.Image.Resampling.BOX)


def _graphic(picture: PIL.Image.Image, drawing: Drawing) -> GraphicPicture:
    wide, high = drawing.cell
    columns, lines = math.ceil(picture.width / wide), math.ceil(picture.height / high)
    if drawing.protocol == "sixel":
        return GraphicPicture(sixel_code(picture), columns, lines)
    # A multiple of whole characters; otherwise the terminal would stretch it.
    canvas = PIL.Image.new("RGBA", (columns * wide, lines * high))
    canvas.paste(picture, (0, 0))
    if drawing.protocol == "iterm":
        return GraphicPicture(iterm_code(canvas, columns, lines), columns, lines)
    return GraphicPicture(kitty_code(canvas, columns, lines, os.getpid()), columns, lines)


def _cell_size(console: Console) -> tuple[int, int] | None:
    """Width and height of a character in pixels; None if the terminal does not report them."""
    try:
        import fcntl
        import struct
        import termios

        answer = fcntl.ioctl(console.file.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError):  # Windows, or no terminal
        return None
    lines, columns, width, height = struct.unpack("HHHH", answer)
    return (width // columns, height // lines) if width and height and columns and lines else None
