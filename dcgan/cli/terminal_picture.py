"""Pictures of half blocks, two pixels per character, for terminals with many colours."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from tracking.events import GRID_PADDING

_UPPER_HALF = "\N{UPPER HALF BLOCK}"
_LEAST_PIXELS = 16
"""An image in fewer could not be told from another."""


def can_show_pictures(console: Console) -> bool:
    """Whether the console has at least 256 colours."""
    return console.color_system in ("256", "truecolor", "windows")


def grid_picture(file: Path, sides: tuple[int, int], width: int, height: int) -> Text | None:
    """The first images of a grid, as many as can be told apart; None if the file cannot be read.

    Args:
        file: The grid, as a training writes it.
        sides: Height and width of its images, in pixels.
        width: Characters per line.
        height: Lines.
    """
    try:
        with PIL.Image.open(file) as opened:
            grid = opened.convert("RGB")
    except (OSError, ValueError):  # it is being written, or damaged
        return None
    return first_images(grid, sides, width, height)


def first_images(grid: PIL.Image.Image, sides: tuple[int, int], width: int, height: int) -> Text:
    """The first images of a grid, as many as can be told apart.

    Args:
        grid: The grid, in RGB.
        sides: Height and width of its images, in pixels.
        width: Characters per line.
        height: Lines.
    """
    high, wide = (side + GRID_PADDING for side in sides)
    # Of images that are not square, the shorter side has the least pixels.
    least = _LEAST_PIXELS / min(high, wide)
    across = max(1, min((grid.width - GRID_PADDING) // wide, int(width / (least * wide))))
    down = max(1, min((grid.height - GRID_PADDING) // high, int(2 * height / (least * high))))
    shown = grid.crop((0, 0, across * wide + GRID_PADDING, down * high + GRID_PADDING))
    scale = min(width / shown.width, 2 * height / shown.height)
    columns = max(1, round(shown.width * scale))
    lines = max(1, round(shown.height * scale / 2))
    return half_blocks(shown.resize((columns, 2 * lines), PIL.Image.Resampling.BOX))


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
