"""One line for each health rule that holds in a run, from the run's fields."""

from __future__ import annotations

from collections.abc import Mapping

from tracking.events import HEALTH, RULES_THAT_HOLD, Value


def rules_that_hold(fields: Mapping[str, Value]) -> list[str]:
    """Names of the rules that hold in a run, the most serious first; also for imported runs."""
    from diagnosis import RULES

    names = fields.get(RULES_THAT_HOLD)
    holding = {str(name) for name in names} if isinstance(names, list | tuple) else set()
    return [rule for rule in RULES if rule in holding]


def health_line(rule: str, fields: Mapping[str, Value]) -> str:
    """A line such as `D has won from step 250 on: D(x) is 0.99 ...`; shorter without fields."""
    from diagnosis import RULES

    since, until = (fields.get(f"{HEALTH}/{rule}/{key}") for key in ("since", "until"))
    evidence = fields.get(f"{HEALTH}/{rule}/evidence")
    stretch = f" from step {since:,}" if isinstance(since, int) else ""
    if stretch:
        stretch += f" to {until:,}" if isinstance(until, int) else " on"
    return f"{RULES[rule].title}{stretch}" + (f": {evidence}" if evidence else "")
