"""A rule that holds in a run, from some step on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from diagnosis.rules import RULES, RuleName


@dataclass(frozen=True)
class Finding:
    """One stretch of steps in which a rule holds.

    Attributes:
        rule: The name of the rule.
        since: The step from which it holds.
        seen: The step at which it was seen first: a window must fill, or a grid be drawn.
        until: The last step at which it was seen to hold.
        ended: Whether it no longer holds after that.
        evidence: The numbers where it was the clearest, in a sentence without its full stop.
        numbers: These numbers by name.
        score: How far they go, 1 at the threshold.
    """

    rule: RuleName
    since: int
    seen: int
    until: int
    ended: bool
    evidence: str
    numbers: Mapping[str, float]
    score: float

    @property
    def title(self) -> str:
        """What was found, in a few words."""
        return RULES[self.rule].title

    def __str__(self) -> str:
        stretch = f"from step {self.since:,}" + (f" to {self.until:,}" if self.ended else " on")
        return f"{self.title} {stretch}: {self.evidence}."


def holding(findings: Iterable[Finding]) -> list[Finding]:
    """Those that still hold, the gravest first."""
    order = list(RULES)
    return sorted((f for f in findings if not f.ended), key=lambda each: order.index(each.rule))


def ending(rules: Iterable[str]) -> Literal["collapsed", "diverged"] | None:
    """The outcome of a run in which these rules hold at its end; None if none of them is fatal."""
    outcomes = {RULES[rule].fatal for rule in rules}
    return (
        "diverged" if "diverged" in outcomes else "collapsed" if "collapsed" in outcomes else None
    )
