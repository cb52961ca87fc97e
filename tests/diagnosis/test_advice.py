"""What is said of remedies, from numbers that were measured."""

from __future__ import annotations

from typing import Any

import pytest

from diagnosis import advice


def remedy(name: str, difference: float, *, shown: bool) -> dict[str, Any]:
    return {
        "name": name,
        "settings": {"optimizer.lr": 0.001},
        "difference": difference,
        "low": difference - 0.1,
        "high": difference + 0.1,
        "shown": shown,
        "failed": 1,
    }


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One trial, of the failure `collapsed`, without remedies."""
    trial: dict[str, Any] = {
        "failure": "rate-too-high",
        "rules": ["collapsed"],
        "images": "digits",
        "broken": {"optimizer.lr": 0.01},
        "metric": "LeNet-FID",
        "seeds": 9,
        "failed": 4,
        "remedies": [],
    }
    monkeypatch.setattr(advice, "_measured", lambda: {"trials": [trial]})
    return trial


def test_what_helped_what_did_not_and_what_made_it_worse(trial: dict[str, Any]) -> None:
    trial["remedies"] = [
        remedy("lower rate", -0.5, shown=True),
        remedy("EMA", -0.05, shown=False),
        remedy("instance noise", 0.5, shown=True),
    ]
    assert advice.advice_for("collapsed") == [
        "Tried on digits (optimizer.lr=0.01; 9 pairs of runs; 4 of the broken ones count as "
        "failed):",
        "  lower rate (optimizer.lr=0.001): LeNet-FID -50% (-60% to -40%), 1 failed",
        "  not shown to help (LeNet-FID): EMA (-15% to +5%)",
        "  made it worse (LeNet-FID): instance noise (+40% to +60%)",
    ]


def test_where_nothing_helped_it_says_so(trial: dict[str, Any]) -> None:
    trial["remedies"] = [remedy("EMA", 0.5, shown=True)]
    assert "  nothing that was tried was shown to help" in advice.advice_for("collapsed")


@pytest.mark.usefixtures("trial")
def test_what_was_not_tried_is_not_advised() -> None:
    assert advice.advice_for("oscillating") == ["What helps against it was not measured."]
