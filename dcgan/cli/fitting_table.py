"""Tables that fit the terminal: columns are left out or folded, numbers are never cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import borderless_table

_GAP = 2
"""Spaces between two columns."""

_MIN_TEXT_WIDTH = 16
"""The width to which longer texts are folded if there is little room."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its heading, by which it is also left out.
        cells: One per row.
        is_text: Whether it is aligned to the left; numbers are aligned to the right.
        min_width: Characters to which its cells may be folded; None to keep them whole.
    """

    heading: str
    cells: Sequence[Text]
    is_text: bool = False
    min_width: int | None = None

    @property
    def width(self) -> int:
        """Characters of the widest cell."""
        return max(len(self.heading), *(cell.cell_len for cell in self.cells), 0)

    @property
    def minimum(self) -> int:
        """The smallest width in which no number is cut."""
        if self.min_width is None:
            return self.width
        longest_word = max(map(len, self.heading.split()), default=0)
        return max(longest_word, min(self.min_width, self.width))


def text_column(heading: str, cells: Sequence[Text]) -> Column:
    """A column of texts, which are folded if there is little room."""
    return Column(heading, cells, is_text=True, min_width=_MIN_TEXT_WIDTH)


@dataclass(frozen=True)
class FittingTable:
    """A table, and the columns that did not fit.

    Attributes:
        table: The table.
        left_out: The headings of the columns that it lacks.
    """

    table: Table
    left_out: tuple[str, ...]

    def print(self, console: Console) -> None:
        """Print the table and, below it, which columns were left out."""
        console.print(self.table)
        if self.left_out:
            names = ", ".join(reversed(self.left_out))
            console.print(Text(f"No room here for: {names}.", style="dim"))


def fitting_table(
    columns: Sequence[Column],
    width: int,
    *,
    optional: Sequence[str] = (),
    strong: Collection[int] = (),
) -> FittingTable:
    """Lay out as many of the columns as there is room for.

    The remaining width goes to the columns that can be folded, the first column first.

    Args:
        columns: The columns, all with as many cells.
        width: Characters of the terminal.
        optional: Headings of columns to leave out if there is little room, in this order.
        strong: Positions of the rows that are printed in bold.
    """
    shown = list(columns)
    left_out = []
    for heading in optional:
        if _total(shown, lambda column: column.minimum) <= width:
            break
        shown = [column for column in shown if column.heading != heading]
        left_out.append(heading)
    room = width - _total(shown, lambda column: column.minimum)
    table = borderless_table()
    for column in shown:
        extra = max(0, min(room, column.width - column.minimum))
        room -= extra
        table.add_column(
            Text(column.heading),
            justify="left" if column.is_text else "right",
            width=column.minimum + extra,
            no_wrap=column.min_width is None,
            overflow="fold",
        )
    for position, cells in enumerate(zip(*(column.cells for column in shown), strict=True)):
        table.add_row(*cells, style="bold" if position in strong else "")
    return FittingTable(table, tuple(left_out))


def _total(columns: Sequence[Column], width: Callable[[Column], int]) -> int:
    return sum(map(width, columns)) + _GAP * (len(columns) - 1)
