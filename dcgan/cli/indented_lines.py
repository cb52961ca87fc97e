"""Lines of prose in a terminal, wrapped below their indentation."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text


def print_indented(console: Console, line: str, style: str = "") -> None:
    """Print one or several lines; a terminal wraps each, with two more spaces of indentation.

    Args:
        console: Where to print; unless it is a terminal, the line is not wrapped.
        line: The line with its indentation.
        style: Its style.
    """
    if not console.is_terminal:
        console.print(Text(line, style), soft_wrap=True)
        return
    for each in line.split("\n"):
        indent = " " * (len(each) - len(each.lstrip()) + 2)
        wrapped = textwrap.fill(
            each,
            console.width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,  # an option or a file is found again by its whole name
        )
        console.print(Text(wrapped, style))
