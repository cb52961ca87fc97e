"""Formats durations, sizes and tables for the terminal, and JSON for programs."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.table import Table

from tracking.fields import escape_control_characters
from tracking.wording import duration

__all__ = [
    "STATUS_STYLES",
    "add_number_columns",
    "borderless_table",
    "duration",
    "escape_control_characters",
    "print_json",
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


def print_json(tree: Any) -> None:
    """Print JSON for programs; null for numbers that are not finite, which JSON does not have."""
    print(json.dumps(_finite(tree), indent=2, allow_nan=False))


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
