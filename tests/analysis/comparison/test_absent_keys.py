"""Runs of older versions lack keys that newer runs have."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import load
from analysis.comparison.arms import NoArmsError
from analysis.comparison.compare import compare
from tests.support.sample_journals import write_journal


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
