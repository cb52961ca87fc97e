"""One line for each health rule that holds in a run, from the run's fields."""

from __future__ import annotations

from collections.abc import Mapping

from tracking.events import HEALTH, Value

HOLDS = f"{HEALTH}/holds"
"""The field with the names of the rules that hold."""


def rules_that_hold(fields: Mapping[str, Value]) -> list[str]:
    """Names of the rules that hold in a run, the gravest first; works for imported runs too."""
    from diagnosis import RULES

    holds = fields.get(HOLDS)
    found = {str(rule) for rule in holds} if isinstance(holds, list | tuple) else set()
    return [rule for rule in RULES if rule in found]


def health_line(rule: str, fields: Mapping[str, Value]) -> str:
    """Such as `D has won from step 250 on: D(x) is 0.99 ...`; shorter if fields are missing."""
    from diagnosis import RULES

    since, until = (fields.get(f"{HEALTH}/{rule}/{key}") for key in ("since", "until"))
    evidence = fields.get(f"{HEALTH}/{rule}/evidence")
    stretch = f" from step {since:,}" if isinstance(since, int) else ""
    if stretch:
        stretch += f" to {until:,}" if isinstance(until, int) else " on"
    return f"{RULES[rule].title}{stretch}" + (f": {evidence}" if evidence else "")
