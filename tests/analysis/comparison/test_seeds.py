"""Doubts about the seeds of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import load
from analysis.comparison.arms import ComparisonError
from analysis.comparison.compare import compare
from analysis.comparison.measures import count_defaults
from analysis.comparison.seeds import few_seeds_warning
from tests.support.sample_journals import write_journal

OVER = "--over optimizer.lr=2e-4,2e-3"


def warnings_of(store: Path, seeds: int, planned: int) -> str:
    for seed in range(seeds):
        for arm in ("dcgan", "default"):
            write_journal(
                store,
                f"{arm}-{seed}",
                seed=seed,
                init__scheme=arm,
                fields={"sys/sweep/id": "w-123456", "sys/sweep/seeds": planned},
            )
    return " ".join(compare(load(store), by=["init.scheme"], metrics=["Gloss"]).warnings)


@pytest.mark.parametrize(("spaces", "metrics", "needed"), [(0, 4, 8), (1, 7, 9), (2, 10, 9)])
def test_few_seeds_are_told_of_by_the_number_of_metrics(
    spaces: int, metrics: int, needed: int
) -> None:
    assert count_defaults(spaces) == metrics
    assert few_seeds_warning(needed, 2, spaces, OVER) is None
    assert few_seeds_warning(needed - 1, 2, spaces, OVER) == (
        f"{needed - 1} seeds can show no difference in the {metrics} metrics that are compared by "
        f"default: that takes {needed} seeds, or 6 for a single metric."
    )


@pytest.mark.parametrize("seeds", [1, 5, 20])
def test_one_arm_is_said_to_have_nothing_to_be_compared_with(seeds: int) -> None:
    said = few_seeds_warning(seeds, 1, 0, OVER)
    assert said is not None
    assert said.startswith("One arm has nothing to be compared with: ")
    assert said.endswith(OVER)


def test_more_seeds_than_were_planned_are_said(tmp_path: Path) -> None:
    said = warnings_of(tmp_path, seeds=7, planned=6)
    assert "An arm has 7 runs, but the sweep was planned with 6 seeds" in said
    assert "true p values are larger" in said


def test_fewer_runs_than_were_planned_are_said(tmp_path: Path) -> None:
    assert "An arm has 6 of 8 planned runs" in warnings_of(tmp_path, seeds=6, planned=8)


def test_the_planned_number_of_seeds_warns_of_nothing(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, seeds=6, planned=6) == ""


def test_a_count_that_is_the_same_with_all_seeds_raises_no_doubt(tmp_path: Path) -> None:
    for seed in range(3):
        for arm in ("dcgan", "default"):
            write_journal(
                tmp_path,
                f"{arm}-{seed}",
                seed=seed,
                init__scheme=arm,
                evaluation={"class_coverage": 1.0},
            )
    assert compare(load(tmp_path), metrics=["class_coverage"]).warnings == ()
    assert compare(load(tmp_path), metrics=["nearest_epoch"]).warnings == ()


def test_a_seed_that_no_float_holds_is_named_exactly(tmp_path: Path) -> None:
    seed = 2**53 + 1
    for run, (scheme, rate) in enumerate([("dcgan", 2e-4), ("dcgan", 2e-3), ("default", 2e-4)]):
        changed = {"init__scheme": scheme, "optimizer__lr": rate}
        write_journal(tmp_path, f"run-{run}", seed=seed, **changed)
    with pytest.raises(ComparisonError, match=f"seed {seed} differ in optimizer.lr"):
        compare(load(tmp_path), by=["init.scheme"], anyway=True)
