"""Runs of older versions lack keys that newer runs have."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import load
from analysis.comparison.arms import NoArmsError, commits
from analysis.comparison.compare import compare
from tests.support.sample_journals import write_journal
from tracking.events import Value
from tracking.tables import run_table


def test_a_key_that_older_runs_lack_is_no_difference_until_it_has_a_value(tmp_path: Path) -> None:
    for seed in range(2):
        write_journal(tmp_path, f"older-{seed:06d}", seed=seed)
        write_journal(
            tmp_path, f"newer-{seed:06d}", seed=seed, created=2, optimizer__discriminator_lr=None
        )
    with pytest.raises(NoArmsError, match="nothing but the seed"):
        compare(load(tmp_path))
    for seed in range(2):
        write_journal(
            tmp_path, f"ttur-{seed:06d}", seed=seed, created=3, optimizer__discriminator_lr=4e-4
        )
    comparison = compare(load(tmp_path))
    assert comparison.factors == ("optimizer.discriminator_lr",)
    assert [len(arm.runs) for arm in comparison.arms] == [2, 2]


def test_runs_of_other_programs_may_have_a_commit_and_nothing_else_of_their_code() -> None:
    runs: dict[str, dict[str, Value]] = {
        "theirs": {"sys/git/commit": "fedcba9876"},
        "ours": {"sys/git/commit": "abcdef0123"},
    }
    assert commits(run_table(runs)) == ["abcdef0", "fedcba9"]
    runs["ours"]["sys/git/dirty"] = True
    assert commits(run_table(runs)) == ["abcdef0 with changes", "fedcba9"]
