"""Phrases that many messages share."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

ANECDOTE = "One run is an anecdote: another seed may give a different result."


def duration(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 20 s`, `5 h 02 min` or `3 d 04 h`."""
    total = round(seconds)
    if total < _MINUTE:
        return f"{total} s"
    if total < _HOUR:
        return f"{total // _MINUTE} min {total % _MINUTE:02d} s"
    if total < _DAY:
        return f"{total // _HOUR} h {total % _HOUR // _MINUTE:02d} min"
    return f"{total // _DAY} d {total % _DAY // _HOUR:02d} h"


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 run`, `2 runs`, `1,000 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def join_with_and(parts: Sequence[str]) -> str:
    """Parts of a sentence: `a`, `a and b`, `a, b and c`."""
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last


def rounded(value: float, digits: int, sign: str = "") -> str:
    """A number with `digits` digits, without an exponent up to a million: `0.0123`, `12,300`.

    Args:
        value: The number.
        digits: How many of its digits are kept, from the first that is not 0.
        sign: "+" to write the sign of positive numbers too.
    """
    return f"{float(f'{value:.{digits}g}'):{sign},g}"


def install_extra(extra: str) -> str:
    """How to install one of this project's extras: from the repository, not a package index."""
    return f"pip install -c constraints.txt -e '.[{extra}]' in the repository of the DCGAN lab"


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
