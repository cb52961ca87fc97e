"""What the rules find in committed runs is what docs/diagnosis.md lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.health import examine
from diagnosis import RunWatch
from tracking.backends.local import read_fields, read_steps

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "runs" / "reference"


D_WON_AT_THE_END = "diff-augment/astro-td9j8p"
DRAW_A_PATTERN = {
    "mnist-softmax/mnist-softmax-7eg8ys",
    "mnist-softmax/mnist-softmax-fy45bd",
    "mnist-softmax/mnist-softmax-hvjzaq",
    "mnist-softmax/mnist-softmax-wk63fm",
}


@pytest.fixture(scope="module")
def watches() -> dict[str, RunWatch]:
    return {
        file.parent.relative_to(REFERENCE).as_posix(): examine(
            read_fields(file.parent), read_steps(file.parent), file.parent
        )
        for file in REFERENCE.rglob("run.json")
    }


def test_the_alarms_in_all_committed_runs_are_listed(watches: dict[str, RunWatch]) -> None:
    results = json.loads((ROOT / "benchmarks" / "health_rules.json").read_text(encoding="utf-8"))
    listed = results["reference"]
    assert len(watches) == listed["runs"]
    assert {
        run: [(each.rule, each.since, each.until) for each in watch.findings]
        for run, watch in watches.items()
        if watch.findings
    } == {
        run: [(each["rule"], each["since"], each["until"]) for each in held]
        for run, held in listed["found"].items()
    }


def test_the_rules_that_hold_at_the_end_tell_which_runs_failed(
    watches: dict[str, RunWatch],
) -> None:
    holding = {run: {each.rule for each in watch.holding()} for run, watch in watches.items()}
    failed = {run for run, rules in holding.items() if rules}
    assert failed == {*DRAW_A_PATTERN, D_WON_AT_THE_END}
    for run in DRAW_A_PATTERN:
        assert holding[run] >= {"discriminator_won", "collapsed", "not_learning", "one_image"}
    assert holding[D_WON_AT_THE_END] == {"discriminator_won"}
    assert not any(
        watch.findings
        for run, watch in watches.items()
        if run.startswith("mnist-softmax") and run not in DRAW_A_PATTERN
    )
