"""Figures as notebooks show them."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from tracking.notebook import notebook_shell

SCREEN_DPI = 80


def figure_png(figure: Figure, dpi: int = SCREEN_DPI) -> bytes:
    """A figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def show_figures_inline() -> None:
    """Let a notebook show figures that are not pyplot's; elsewhere this does nothing."""
    shell = notebook_shell()
    if shell is None:
        return
    formatter = shell.display_formatter.formatters["image/png"]
    if Figure not in formatter.type_printers:
        formatter.for_type(Figure, figure_png)
