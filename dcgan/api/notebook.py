"""Whether this is a notebook, and how figures are shown in one."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCREEN_DPI = 100


def notebook_shell() -> Any:
    """IPython's shell if this process is the kernel of a notebook; otherwise None."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None


def figure_png(figure: Figure, dpi: int = SCREEN_DPI) -> bytes:
    """A figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def show_figures_inline() -> None:
    """Let a notebook show this project's figures: it knows pyplot's, and only once that is used."""
    shell = notebook_shell()
    if shell is None:
        return
    from matplotlib.figure import Figure

    formatter = shell.display_formatter.formatters["image/png"]
    if Figure not in formatter.type_printers:
        formatter.for_type(Figure, figure_png)
