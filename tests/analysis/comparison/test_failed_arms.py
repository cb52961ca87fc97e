"""Runs that failed, or could not be judged, in the arms of a comparison."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from analysis import load
from analysis.comparison.compare import compare
from analysis.comparison.conclusions import conclusion, failures_in_words, findings, verdict
from analysis.comparison.statistics import compare_counts
from analysis.comparison.tables import failure_table
from tests.support.sample_journals import write_journal
from tests.support.two_arms import row, two_arms, with_outcomes


def test_broken_runs_are_counted_and_their_pairs_left_out(tmp_path: Path) -> None:
    two_arms(tmp_path, range(7))
    nan = float("nan")
    write_journal(tmp_path, "with-000007", seed=7, losses=(nan, 1.0))
    write_journal(tmp_path, "without-000007", seed=7, init__scheme="default")
    write_journal(tmp_path, "with-000008", seed=8, scores=(0.999, 0.001))
    write_journal(tmp_path, "without-000008", seed=8, init__scheme="default", images_alike=True)

    comparison = compare(load(tmp_path), metrics=["Gloss"])

    outcomes = comparison.runs["outcome"]
    assert outcomes["with-000007"] == "diverged"
    assert outcomes["with-000008"] == "collapsed", "D won"
    assert outcomes["without-000008"] == "collapsed", "all images are alike"
    assert (outcomes == "whole").sum() == 15
    counts = comparison.failures.set_index("arm")
    assert counts.loc["init.scheme=dcgan", ["runs", "collapsed", "diverged"]].tolist() == [9, 1, 1]
    assert counts.loc["init.scheme=default", ["collapsed", "diverged"]].tolist() == [1, 0]
    assert "2 of 9 with init.scheme=dcgan, 95% interval 6% to 55%" in failures_in_words(comparison)
    assert row(comparison, "Gloss", "init.scheme=default")["counts"] == (8, 8)
    assert comparison.tests == 1, "so few failures could show nothing"
    assert any(
        "leaves out 2 of 18 runs (1 without a finite value, 1 paired with these)" in each
        for each in comparison.warnings
    )
    assert math.isnan(comparison.runs.loc["with-000007", "Gloss"])


def test_a_run_that_is_left_out_for_two_reasons_is_counted_once(tmp_path: Path) -> None:
    two_arms(tmp_path, range(7))
    write_journal(tmp_path, "with-000007", seed=7, losses=(float("nan"), 1.0))
    comparison = compare(load(tmp_path), metrics=["Gloss"])
    [warning] = [each for each in comparison.warnings if "leaves out" in each]
    assert "leaves out 1 of 15 runs (1 without a finite value)." in warning


def test_failures_are_part_of_the_verdict(tmp_path: Path) -> None:
    nan = float("nan")
    for seed in range(8):
        write_journal(tmp_path, f"a-{seed:06d}", seed=seed)
        write_journal(
            tmp_path,
            f"b-{seed:06d}",
            seed=seed,
            losses=(nan, 1.0),
            init__scheme="default",
            status="failed" if seed < 3 else "finished",
        )

    comparison = compare(load(tmp_path), metrics=["Gloss"])

    assert verdict(comparison) == "A difference was shown in the number of failed trainings."
    counts = comparison.failures.set_index("arm").loc["init.scheme=default"]
    assert counts[["runs", "collapsed", "diverged", "failed"]].tolist() == [8, 0, 5, 3]
    assert counts["p_holm"] == pytest.approx(0.000155, abs=1e-6)
    assert "8 of 8 trainings failed where 0 of 8 did (p = 0.00016)" in conclusion(comparison)
    assert any("has no finite value of it" in each for each in comparison.warnings)
    assert "nan" not in " ".join((*findings(comparison), *comparison.warnings))


def test_values_that_no_run_has_are_not_blamed_on_few_runs(tmp_path: Path) -> None:
    nan = float("nan")
    for seed in range(8):
        write_journal(tmp_path, f"a-{seed}", seed=seed, losses=(nan, 1.0))
        write_journal(tmp_path, f"b-{seed}", seed=seed, losses=(nan, 1.0), init__scheme="default")
    comparison = compare(load(tmp_path), metrics=["Gloss"])
    assert verdict(comparison) == "No claim can be made: there are no finite values to compare."
    [warning] = comparison.warnings
    assert "init.scheme=dcgan and init.scheme=default have no finite value of it" in warning


def test_arms_whose_finite_values_have_no_seed_in_common_are_said_to(tmp_path: Path) -> None:
    for seed in range(2):
        for arm, broken in (("dcgan", 0), ("default", 1)):
            loss = float("nan") if seed == broken else 1.5
            write_journal(
                tmp_path, f"{arm}-{seed}", seed=seed, losses=(loss, 1.0), init__scheme=arm
            )
    [warning] = compare(load(tmp_path), metrics=["Gloss"]).warnings
    assert "because no seed has a finite value in both arms." in warning


def test_one_more_arm_is_no_arms(tmp_path: Path) -> None:
    for place in range(5):
        for seed in range(8):
            loss = 1.5 if place in (0, 4) else 6.5
            write_journal(
                tmp_path, f"r{place}{seed}", seed=seed, losses=(loss, 1.0), optimizer__lr=place
            )
    said = findings(compare(load(tmp_path), metrics=["Gloss"]))
    assert "No difference was shown between optimizer.lr=0 and the other 1 arm." in said


def test_runs_that_cannot_be_judged_do_not_count_as_whole(tmp_path: Path) -> None:
    two_arms(tmp_path, range(8))
    compared = compare(load(tmp_path), metrics=["Gloss"])

    none = with_outcomes(compared, ["unknown"] * 8 + ["whole"] * 6 + ["unknown"] * 2)
    assert failures_in_words(none) == (
        "Collapsed, diverged or failed: none of the 8 with init.scheme=dcgan could be judged; "
        "0 of 6 with init.scheme=default (2 more could not be judged), 95% interval 0% to 39%."
    )
    assert none.tests == 1, "no judged run can be compared with another"
    assert failure_table(none).rows == (
        ("dcgan", "8", "0", "0", "0", "8", "\N{EN DASH}", "\N{EN DASH}"),
        ("default", "8", "0", "0", "0", "2", "0% to 39%", "\N{EN DASH}"),
    )

    some = with_outcomes(
        compared, ["whole"] * 5 + ["unknown"] * 3 + ["diverged"] * 5 + ["whole"] * 3
    )
    # The larger p of a family of two is not corrected.
    assert some.failures["p_holm"].iloc[1] == pytest.approx(compare_counts((0, 5), (5, 8)).p)
