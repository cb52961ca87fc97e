"""Numbers, times and foreign texts as a person reads them."""

from __future__ import annotations

from tracking.fields import escape_control_characters

__all__ = ["duration", "escape_control_characters", "size"]

MINUTE, HOUR, DAY = 60, 3600, 86_400

STATUS_STYLES = {
    "running": "cyan",
    "finished": "green",
    "interrupted": "yellow",
    "failed": "red",
    "killed": "red",
}


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `5 h 02 min`, `3 d 04 h`."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"
    return f"{whole // DAY} d {whole % DAY // HOUR:02d} h"


def size(count: int) -> str:
    """Bytes as `312 B`, `4.1 MB`, `1.2 GB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"
