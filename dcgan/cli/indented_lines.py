"""Lines of prose in a terminal, wrapped below their indentation."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text


def print_indented(console: Console, line: str, style: str = "") -> None:
    """Print a line; a terminal wraps it, with two more spaces of indentation.

    Args:
        console: Where to print; unless it is a terminal, the line is not wrapped.
        line: The line with its indentation.
        style: Its style.
    """
    if not console.is_terminal:
        console.print(Text(line, style), soft_wrap=True)
        return
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    wrapped = textwrap.fill(line, console.width, subsequent_indent=indent, break_long_words=False)
    console.print(Text(wrapped, style))
