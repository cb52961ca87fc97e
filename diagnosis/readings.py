"""What a rule finds in a window: a judgement, or that it cannot judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True)
class Judgement:
    """Whether a rule holds.

    Attributes:
        holds: The answer.
        score: How far the evidence goes, 1 at the threshold.
        evidence: The numbers, in a sentence without its full stop; empty if there is nothing to
            say.
        numbers: The same numbers by name.
        since: The step from which it holds; None for the first step of the window.
    """

    holds: bool
    score: float
    evidence: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    since: int | None = None


@dataclass(frozen=True)
class Undecided:
    """The rule cannot judge.

    Attributes:
        reason: What is missing.
    """

    reason: str


Reading: TypeAlias = Judgement | Undecided
