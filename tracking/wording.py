"""Phrases that many messages share."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 run`, `2 runs`, `1,000 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def did_you_mean(wrong: str, names: Collection[str], limit: int = 3) -> str:
    """A question that suggests the closest existing names; empty if none is close.

    Args:
        wrong: What the user typed.
        names: What exists. Dotted names, such as `optimizer.lr`, also match by their last part.
        limit: The largest number of suggestions.
    """
    matches = difflib.get_close_matches(wrong, names, n=limit)
    if not matches:
        by_leaf = {name.rpartition(".")[2]: name for name in names}
        leaf = wrong.rpartition(".")[2]
        matches = [by_leaf[match] for match in difflib.get_close_matches(leaf, by_leaf, n=limit)]
    return f"Did you mean {', '.join(matches)}?" if matches else ""
