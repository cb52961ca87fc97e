"""Figures for notebooks: small files, since a notebook stores them as text."""

from __future__ import annotations

import io

import PIL.Image
from matplotlib.figure import Figure

from tracking.notebook import notebook_shell

SCREEN_DPI = 80
_COLOURS = 64
_QUALITY = 75


def figure_png(figure: Figure, dpi: int = SCREEN_DPI) -> bytes:
    """A figure as a PNG with 64 colours, which suffice for curves and text."""
    drawn = _drawn(figure, dpi).quantize(_COLOURS, dither=PIL.Image.Dither.NONE)
    return _encoded(drawn, "png", optimize=True)


def picture_jpeg(picture: PIL.Image.Image) -> bytes:
    """A picture as a JPEG, which has a quarter of the size of its PNG if it is noisy."""
    return _encoded(picture, "jpeg", quality=_QUALITY, optimize=True)


def show_figures_inline() -> None:
    """Register formatters so that notebooks show figures without pyplot; a no-op elsewhere."""
    shell = notebook_shell()
    if shell is None:
        return
    formatters = shell.display_formatter.formatters
    if Figure not in formatters["image/png"].type_printers:
        formatters["image/png"].for_type(Figure, _png_of_curves)
        formatters["image/jpeg"].for_type(Figure, _jpeg_of_pictures)


def _png_of_curves(figure: Figure) -> bytes | None:
    return None if _has_pictures(figure) else figure_png(figure)


def _jpeg_of_pictures(figure: Figure) -> bytes | None:
    return picture_jpeg(_drawn(figure, SCREEN_DPI)) if _has_pictures(figure) else None


def _has_pictures(figure: Figure) -> bool:
    return any(axes.images for axes in figure.axes)


def _drawn(figure: Figure, dpi: int) -> PIL.Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return PIL.Image.open(buffer).convert("RGB")


def _encoded(picture: PIL.Image.Image, format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=format, **options)
    return buffer.getvalue()
