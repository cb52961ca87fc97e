"""Where the parts of a run are stored in Neptune, and which types Neptune has."""

from __future__ import annotations

import math

from tracking.events import CONFIG, HEALTH, SYS, Value

DATA_FOLDER = "neptune"
PROVENANCE = "provenance"
NON_FINITE = "non_finite"
LONG_FIELDS = "long_fields"

OWN_FIELDS = (f"{CONFIG}/", f"{HEALTH}/", f"{PROVENANCE}/")
"""The prefixes of our fields; all other paths are Neptune's own."""

TEXT_LENGTH = 16_384
"""How many characters of a text Neptune stores."""

_INTEGERS = range(-(2**31), 2**31)


def to_neptune(path: str) -> str:
    """Neptune's path for a field: `sys/...` becomes `provenance/...`."""
    rest = path.removeprefix(f"{SYS}/")
    return path if rest == path else f"{PROVENANCE}/{rest}"


def from_neptune(path: str) -> str:
    """The inverse of `to_neptune`."""
    rest = path.removeprefix(f"{PROVENANCE}/")
    return path if rest == path else f"{SYS}/{rest}"


def is_native(value: Value) -> bool:
    """Whether Neptune can hold a value as a number or a truth value; all others go as text."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return value in _INTEGERS
    return isinstance(value, float) and math.isfinite(value)
