"""Two runs compared, from what was recorded about them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.run_diff import MetricPair, RunDiff, RunRecord, ValuePair, diff_runs
from tracking.events import BATCH, EPOCH
from tracking.provenance import UNTRACKED_NOTE

FIELDS: dict[str, Any] = {
    "config/seed": 0,
    "config/optimizer/lr": 2e-4,
    "config/optimizer/betas": [0.5, 0.999],
    "config/training/steps": None,
    "config/dataset/name": "digits",
    "config/dataset/size": 1797,
    "config/dataset/mean": [-0.2],
    "config/dataset/fingerprint": "sha256:00",
    "sys/recipe": "digits",
    "sys/seed": 0,
    "sys/python": "3.11.7",
    "sys/packages/torch": "2.15.0",
    "sys/packages/neptune": "1.14.0",
    "sys/device": "cpu",
    "sys/hardware/cores": 4,
    "sys/git/commit": "0123456789abcdef",
    "sys/git/branch": "main",
    "sys/git/dirty": False,
}
LAST = {"step": 30.0, "time": 5.0, f"{EPOCH}/number": 2.0, f"{EPOCH}/Gloss": 3.0}


def compared(
    changes: dict[str, Any] | None = None,
    *,
    last: tuple[dict[str, float], dict[str, float]] = (LAST, LAST),
    patches: tuple[str, str] = ("", ""),
) -> RunDiff:
    """A run against the same one with some fields changed."""
    first = RunRecord("a", FIELDS, last[0], patches[0])
    return diff_runs(first, RunRecord("b", FIELDS | (changes or {}), last[1], patches[1]))


def test_a_run_does_not_differ_from_itself():
    run_diff = compared()
    parts = (
        run_diff.configuration,
        run_diff.data,
        run_diff.code,
        run_diff.packages,
        run_diff.machine,
    )
    assert [part.differing for part in parts] == [()] * 5
    assert run_diff.same_data is True
    assert dict(run_diff.packages.equal) == {
        "python": "3.11.7", "torch": "2.15.0", "neptune": "1.14.0",
    }  # fmt: skip
    assert run_diff.metrics == (MetricPair(f"{EPOCH}/Gloss", 3.0, 3.0, 0.0),)
    assert run_diff.warnings == ()


def test_keys_that_differ_are_separated_from_those_that_do_not():
    run_diff = compared(
        {"config/optimizer/lr": 2e-3, "config/seed": 7, "sys/seed": 7, "config/new": 1}
    )
    assert run_diff.configuration.differing == (
        ValuePair("optimizer.lr", 2e-4, 2e-3),
        ValuePair("new", None, 1),
    )
    assert set(run_diff.configuration.equal) == {"optimizer.betas", "training.steps"}
    assert ValuePair("seed", 0, 7) in run_diff.outline


@pytest.mark.parametrize(
    ("fingerprint", "same"), [("sha256:00", True), ("sha256:01", False), (None, None)]
)
def test_the_fingerprint_says_whether_the_data_are_the_same(
    fingerprint: str | None, same: bool | None
):
    run_diff = compared({"config/dataset/fingerprint": fingerprint, "config/dataset/mean": [0.1]})
    assert run_diff.same_data is same
    assert bool(run_diff.data.differing) is (not same)
    assert run_diff.configuration.differing == ()


def test_a_package_may_be_missing_and_a_machine_another():
    run_diff = compared(
        {"sys/packages/torch": "2.11.0", "sys/packages/neptune": None, "sys/device": "cuda:0"}
    )
    assert run_diff.packages.differing == (
        ValuePair("torch", "2.15.0", "2.11.0"),
        ValuePair("neptune", "1.14.0", None),
    )
    assert run_diff.machine.differing == (ValuePair("device", "cpu", "cuda:0"),)


def patch(file: str, *lines: str) -> str:
    header = f"diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -1,2 +1,2 @@\n"
    return header + "".join(f"{line}\n" for line in lines)


def test_uncommitted_changes_are_listed_by_file():
    ours = patch("same.py", "+1") + patch("ours.py", "-1", "+2", "+3") + patch("z.py", "--x", "++y")
    theirs = patch("same.py", "+1") + patch("z.py", "-1", "+2") + f"\n{UNTRACKED_NOTE}\n#   new\n"
    run_diff = compared({"sys/git/dirty": True}, patches=(ours, theirs))
    assert run_diff.uncommitted.differing == (
        ValuePair("ours.py", "+2 -1", None),
        ValuePair("z.py", "+1 -1", "+1 -1, other lines"),
        ValuePair("new", None, "untracked"),
    )
    assert dict(run_diff.uncommitted.equal) == {"same.py": "+1 -0"}
    assert "Only the names of untracked files" in " ".join(run_diff.warnings)


def test_what_is_untracked_is_no_part_of_the_last_file():
    ours = patch("a.py", "+1")
    run_diff = compared(patches=(ours, f"{ours}\n{UNTRACKED_NOTE}\n#   new\n"))
    assert set(run_diff.uncommitted.equal) == {"a.py"}


def test_changes_that_were_not_recorded_are_reported():
    assert compared({"sys/git/dirty": True}).warnings == (
        "b had uncommitted changes that were not recorded.",
    )


def test_an_epoch_is_not_compared_with_a_batch():
    with_means = LAST | {f"{BATCH}/Gloss": 9.0, "system/cpu_percent": 50.0, "fid": 80.0}
    without = {"step": 30.0, f"{BATCH}/Gloss": 7.0}
    assert [each.path for each in compared(last=(with_means, with_means)).metrics] == [
        "fid",
        f"{EPOCH}/Gloss",
    ]
    assert compared(last=(with_means, without)).metrics == (
        MetricPair("fid", 80.0, None, None),
        MetricPair(f"{BATCH}/Gloss", 9.0, 7.0, -2.0),
        MetricPair(f"{EPOCH}/Gloss", 3.0, None, None),
    )


def test_a_loss_that_is_not_a_number_stays_one():
    (loss,) = compared(last=(LAST, LAST | {f"{EPOCH}/Gloss": math.nan})).metrics
    assert loss.first == 3.0
    assert loss.second is not None and math.isnan(loss.second)
    assert loss.difference is not None and math.isnan(loss.difference)


def test_runs_that_got_unequally_far_are_reported():
    (warning,) = compared(last=(LAST, LAST | {"step": 1200.0})).warnings
    assert "after 30 and 1,200 steps" in warning
