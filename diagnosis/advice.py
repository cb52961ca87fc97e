"""What was measured of the rules and of the remedies, as `dcgan diagnose` prints it.

The numbers are those of benchmarks/health_rules.py; docs/diagnosis.md shows them all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from diagnosis.rules import RuleName


@dataclass(frozen=True)
class Remedy:
    """A change of a broken setting, tried in runs of the same seeds.

    Attributes:
        name: Such as `lower rate`.
        settings: The keys that it changes.
        difference: In the mean distance of images, relative to that of the broken setting; below
            0 is better.
        low, high: The interval of the difference that its permutation test does not reject.
        shown: Whether a difference was shown.
        failed: How many of its runs counted as failed at their end.
    """

    name: str
    settings: Mapping[str, Any]
    difference: float
    low: float
    high: float
    shown: bool
    failed: int


@dataclass(frozen=True)
class Trial:
    """One broken setting and the remedies that were tried.

    Attributes:
        failure: Its name, such as `rate-too-high`.
        rules: The rules that held at some step in most of its broken runs.
        images: The set that it was trained on.
        broken: The settings that break it.
        metric: What was compared.
        seeds: Runs of each arm.
        failed: Broken runs that counted as failed at their end.
        remedies: The best first.
    """

    failure: str
    rules: Sequence[str]
    images: str
    broken: Mapping[str, Any]
    metric: str
    seeds: int
    failed: int
    remedies: Sequence[Remedy]


@cache
def _measured() -> Mapping[str, Any]:
    text = (resources.files("diagnosis") / "measured.json").read_text(encoding="utf-8")
    measured: dict[str, Any] = json.loads(text)
    return measured


def how_sure(rule: RuleName) -> str:
    """How often the rule was right in labelled runs that its threshold was not chosen on."""
    counts = _measured()["detector"].get(rule)
    if counts is None or not counts["alarms"]:
        return "How often this rule is right was not measured."
    low, high = counts["precision_interval"]
    found = f", and found {counts['found']} of {counts['present']}" if counts["present"] else ""
    return (
        f"In labelled runs this rule was right {counts['right']} of {counts['alarms']} times "
        f"({low:.0%} to {high:.0%}){found}."
    )


def trials_of(rule: RuleName) -> list[Trial]:
    """The trials whose broken runs had the rule's failure."""
    return [
        Trial(**{**trial, "remedies": [Remedy(**remedy) for remedy in trial["remedies"]]})
        for trial in _measured()["trials"]
        if rule in trial["rules"]
    ]


def advice_for(rule: RuleName) -> list[str]:
    """What helped against the failure in measured runs, line by line; and what did not."""
    trials = trials_of(rule)
    if not trials:
        return ["What helps against it was not measured."]
    lines = []
    for trial in trials:
        lines.append(
            f"Tried on {trial.images} ({_settings(trial.broken)}; {trial.seeds} pairs of "
            f"runs; {trial.failed} of the broken ones count as failed):"
        )
        helped = [each for each in trial.remedies if each.shown and each.difference < 0]
        others = [each for each in trial.remedies if each not in helped]
        for each in helped:
            lines.append(
                f"  {each.name} ({_settings(each.settings)}): {trial.metric} "
                f"{each.difference:+.0%} ({each.low:+.0%} to {each.high:+.0%}), "
                f"{each.failed} failed"
            )
        if not helped:
            lines.append("  nothing that was tried was shown to help")
        for said, shown in (("not shown to help", False), ("made it worse", True)):
            names = [
                f"{each.name} ({each.low:+.0%} to {each.high:+.0%})"
                for each in others
                if each.shown == shown
            ]
            lines += [f"  {said} ({trial.metric}): {', '.join(names)}"] if names else []
    return lines


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
