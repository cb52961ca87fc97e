"""Durations, sizes, tables and suggested commands as the terminal shows them."""

from __future__ import annotations

import os
from pathlib import Path

from rich.table import Table

from dcgan.cli.options import DEFAULT_STORE
from tracking.fields import escape_control_characters
from tracking.wording import duration

__all__ = [
    "STATUS_STYLES",
    "add_number_columns",
    "borderless_table",
    "dcgan_command",
    "duration",
    "escape_control_characters",
    "size",
]

STATUS_STYLES = {
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
    "interrupted": "yellow",
    "failed": "red",
    "killed": "red",
}


def size(count: int) -> str:
    """Bytes as `312 B`, `4.1 MB` or `1.2 GB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"


def borderless_table() -> Table:
    """An empty table in the style of all commands: bold headings, no lines."""
    return Table(box=None, header_style="bold", pad_edge=False)


def add_number_columns(table: Table, *headings: str) -> None:
    """Add columns that are aligned to the right and never wrap."""
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)


def dcgan_command(*arguments: str, store: Path) -> str:
    """A command for the user to type; names the store unless the command would take it anyway."""
    own_store = Path(os.environ.get("DCGAN_STORE") or DEFAULT_STORE)
    store_option = () if store == own_store else ("--store", str(store))
    return " ".join(("dcgan", *arguments, *store_option))
