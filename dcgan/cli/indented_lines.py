"""Lines of prose in a terminal, wrapped below their indentation."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text


def print_indented(console: Console, line: str, style: str = "") -> None:
    """Print a line, which a terminal wraps to two columns more than it is indented itself.

    Args:
        console: Where it goes; one that is no terminal gets it whole.
        line: The line with its indentation.
        style: Of its text.
    """
    if not console.is_terminal:
        console.print(Text(line, style), soft_wrap=True)
        return
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    wrapped = textwrap.fill(line, console.width, subsequent_indent=indent, break_long_words=False)
    console.print(Text(wrapped, style))
