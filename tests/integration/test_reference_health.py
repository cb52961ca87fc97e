"""What the rules find in committed runs is what docs/diagnosis.md lists, and no run ends failed."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.health import examine
from diagnosis import Finding
from tracking.backends.local import read_fields, read_steps

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "runs" / "reference"


def findings(folder: Path) -> list[Finding]:
    watch = examine(read_fields(folder), read_steps(folder), folder)
    assert watch.holding() == [], f"{folder.name} has not recovered"
    return watch.findings


def test_the_alarms_in_all_committed_runs_are_listed() -> None:
    results = json.loads((ROOT / "benchmarks" / "health_rules.json").read_text(encoding="utf-8"))
    found = {
        file.parent.relative_to(REFERENCE).as_posix(): findings(file.parent)
        for file in REFERENCE.rglob("run.json")
    }
    listed = results["reference"]
    assert len(found) == listed["runs"]
    assert {
        run: [(each.rule, each.since, each.until) for each in held]
        for run, held in found.items()
        if held
    } == {
        run: [(each["rule"], each["since"], each["until"]) for each in held]
        for run, held in listed["found"].items()
    }
