"""Arms of runs compared."""

from __future__ import annotations

import math
import re
import shlex
from itertools import product
from pathlib import Path

import pytest

from analysis import load
from analysis.comparison.arms import ComparisonError
from analysis.comparison.compare import compare
from analysis.comparison.conclusions import conclusion, findings, verdict
from analysis.comparison.tables import effect_table
from tests.support.sample_journals import write_journal
from tests.support.two_arms import row, two_arms, with_outcomes
from tracking.events import SWEEP


def test_the_factor_is_found_and_its_effect_is_shown(tmp_path: Path) -> None:
    two_arms(tmp_path, range(8))

    comparison = compare(load(tmp_path))

    assert comparison.factors == ("init.scheme",)
    assert comparison.labels == ["init.scheme=dcgan", "init.scheme=default"]
    first, second = comparison.arms
    assert (first.label, first.values) == ("init.scheme=dcgan", ("dcgan",))
    assert second.runs == tuple(f"without-{seed:06d}" for seed in range(8))
    assert second.seeds == tuple(range(8))
    assert second.short_label == "default"
    assert comparison.constant["optimizer.lr"] == 2e-4
    assert comparison.warnings == ()
    effect = row(comparison, "Gloss", "init.scheme=default")
    assert effect["paired"]
    assert effect["counts"] == (8, 8)
    assert effect["mean"] == pytest.approx(0.5, abs=0.15)
    assert effect["ci_low"] < effect["mean"] < effect["ci_high"]
    assert effect["p"] == pytest.approx(2 / 2**8)
    assert effect["p_holm"] == pytest.approx(4 * 2 / 2**8), "of four metrics"
    assert effect["prob_superiority"] == 1
    assert effect["shown"]
    assert effect["level"] == pytest.approx(0.05 / 4)
    assert not row(comparison, "Dloss", "init.scheme=default")["shown"]
    said = conclusion(comparison)
    assert "over 8 pairs of seeds: the final loss of G is higher by" in said
    assert "(98.8% interval +" in said
    assert "no difference was shown in the final loss of D" in said
    assert re.search(
        r"\(this many seeds would show, with 80% power, differences of [\d., and]+\)", said
    )
    assert verdict(comparison) == "A difference was shown in the final loss of G."
    effects = effect_table(comparison)
    assert effects.column(5) == ["0.031*", "1", "1", "1"]
    assert "for a family of 4 tests." in effects.caption
    assert "with *: a difference was shown" in effects.caption


def test_values_are_means_over_the_last_tenth_of_the_steps(tmp_path: Path) -> None:
    two_arms(tmp_path, range(6))
    runs = load(tmp_path)

    comparison = compare(runs, metrics=["Gloss", "nearest_epoch"])

    for run, value in comparison.runs["Gloss"].items():
        steps = runs.steps(str(run))
        last = steps[steps["step"] > 36]["training/batch/Gloss"]
        assert value == pytest.approx(last.mean())
    assert set(comparison.runs["nearest_epoch"]) == {9}, "the middle of 4 to 13"
    values = comparison.runs[comparison.runs["arm"] == "init.scheme=dcgan"]["Gloss"]
    summary = comparison.summary.iloc[0]
    assert summary["n"] == 6
    assert summary["mean"] == pytest.approx(values.mean())
    assert summary["median"] == pytest.approx(values.median())
    assert summary["std"] == pytest.approx(values.std(ddof=1))


def test_five_pairs_allow_no_conclusion(tmp_path: Path) -> None:
    two_arms(tmp_path, range(5), effect=50)
    comparison = compare(load(tmp_path), metrics=["Gloss"])
    effect = row(comparison, "Gloss", "init.scheme=default")
    assert effect["p"] == pytest.approx(0.0625)
    assert not effect["shown"]
    assert not effect["can_show"]
    assert effect["minimum_detectable_effect"] == math.inf
    said = conclusion(comparison)
    assert "over 5 pairs of seeds: no claim can be made about the final loss of G" in said
    assert "even with a single test, at least 6 pairs of seeds are needed" in said
    assert verdict(comparison) == "No claim can be made from so few runs."


def test_six_pairs_show_one_metric_but_can_show_nothing_of_four(tmp_path: Path) -> None:
    two_arms(tmp_path, range(6), effect=50)
    runs = load(tmp_path)
    one, four = compare(runs, metrics=["Gloss"]), compare(runs)
    assert row(one, "Gloss", "init.scheme=default")["shown"]
    assert not four.differences["can_show"].any()
    assert "with 4 tests, at least 8 pairs of seeds are needed" in conclusion(four)
    assert "would show" not in conclusion(four), "no effect would have been shown"
    low, high = row(four, "Gloss", "init.scheme=default")[["ci_low", "ci_high"]]
    assert (low, high) == (-math.inf, math.inf)


def test_each_metric_speaks_for_its_own_number_of_pairs(tmp_path: Path) -> None:
    two_arms(tmp_path, range(10))
    for seed in range(6):
        write_journal(
            tmp_path,
            f"with-{seed:06d}-again",
            seed=seed,
            created=5_000,
            losses=(1.5 + seed / 100, float("nan")),
        )
    comparison = compare(load(tmp_path), metrics=["Gloss", "Dloss"])
    said = conclusion(comparison)
    assert "over 10 pairs of seeds, the final loss of G is higher" in said
    assert "over 4 pairs of seeds, no claim can be made about the final loss of D" in said
    assert verdict(comparison).startswith("A difference was shown in the final loss of G and")


def test_arms_that_differ_in_more_are_refused(tmp_path: Path) -> None:
    two_arms(tmp_path, range(3))
    write_journal(tmp_path, "longer-000009", seed=9, training__epochs=30)
    runs = load(tmp_path)

    with pytest.raises(ComparisonError, match=r"differ in 2 keys.*\n.*init.scheme"):
        compare(runs)
    with pytest.raises(
        ComparisonError, match=r"more than init.scheme(.|\n)*training.epochs: 20, 30"
    ):
        compare(runs, by=["init.scheme"])
    comparison = compare(runs, by=["init.scheme"], anyway=True)
    (objection,) = comparison.overridden
    assert "differ in more than init.scheme" in objection
    assert "training.epochs: 20, 30" in objection


def test_the_selection_that_a_refusal_suggests_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    two_arms(tmp_path, range(2))
    write_journal(tmp_path, "other-000009", seed=9, loss__name="hinge")
    with pytest.raises(ComparisonError) as raised:
        compare(load(tmp_path), by=["init.scheme"])
    words = shlex.split(str(raised.value).splitlines()[-1].replace(",", " "))
    expression = words[words.index("--where") + 1]
    assert expression == 'loss.name == "bce"'
    assert len(load(tmp_path, where=expression).table) == 4


def test_runs_of_several_sweeps_are_told_apart_by_their_sweeps(tmp_path: Path) -> None:
    for sweep, name in enumerate(("rates", "rates", "sizes")):
        for seed in range(2):
            write_journal(
                tmp_path,
                f"{name}-{sweep}-{seed}",
                seed=seed,
                created=sweep,
                fields={f"{SWEEP}/id": f"{name}-{sweep}", f"{SWEEP}/name": name},
                optimizer__lr=1e-3 + sweep,
                training__batch_size=16 + sweep,
            )
    with pytest.raises(ComparisonError) as raised:
        compare(load(tmp_path))
    lines = [line.strip() for line in str(raised.value).splitlines()]
    assert lines[1:4] == ["--sweep rates-0", "--sweep rates-1", "--sweep sizes"]
    assert "optimizer.lr" in lines[4:]


def test_what_is_no_part_of_the_training_may_differ(tmp_path: Path) -> None:
    write_journal(tmp_path, "one-000001", seed=0, images__every_epochs=1)
    write_journal(tmp_path, "two-000001", seed=0, images__every_epochs=2, optimizer__lr=2e-3)
    assert compare(load(tmp_path)).factors == ("optimizer.lr",)


def test_runs_without_a_difference_are_no_arms(tmp_path: Path) -> None:
    for seed in range(3):
        write_journal(tmp_path, f"run-{seed:06d}", seed=seed)
    with pytest.raises(ComparisonError, match="nothing but the seed"):
        compare(load(tmp_path))
    with pytest.raises(ComparisonError, match=r"All 3 runs have init.scheme = dcgan"):
        compare(load(tmp_path), by=["init.scheme"])
    with pytest.raises(ComparisonError, match=r"Did you mean optimizer.lr"):
        compare(load(tmp_path), by=["optimizer.rl"])


def test_one_run_has_no_other_to_be_compared_with(tmp_path: Path) -> None:
    write_journal(tmp_path, "run-000000", seed=0)
    with pytest.raises(ComparisonError, match="no other run to compare run-000000 with"):
        compare(load(tmp_path))


def test_numbers_are_arms_in_their_order_and_a_baseline_can_be_chosen(tmp_path: Path) -> None:
    for created, rate in enumerate((2e-3, 1e-4, 5e-4)):
        for seed in range(6):
            name = f"rate-{created}{seed}"
            write_journal(tmp_path, name, seed=seed, created=created, optimizer__lr=rate)
    comparison = compare(load(tmp_path), metrics=["Gloss"])
    rates = ["optimizer.lr=0.0001", "optimizer.lr=0.0005", "optimizer.lr=0.002"]
    assert comparison.labels == rates
    assert list(comparison.differences["arm"]) == rates[1:]
    other = compare(load(tmp_path), metrics=["Gloss"], baseline="2e-3")
    assert other.labels == [rates[2], *rates[:2]]
    with pytest.raises(ComparisonError, match="no such arm"):
        compare(load(tmp_path), baseline="3e-3")


def test_one_is_not_the_arm_true(tmp_path: Path) -> None:
    for whether in (False, True):
        write_journal(tmp_path, f"run-{whether}", seed=0, dataset__flip=whether)
    assert compare(load(tmp_path), baseline="true").baseline == "dataset.flip=true"
    with pytest.raises(ComparisonError, match="--baseline 1: there is no such arm"):
        compare(load(tmp_path), baseline="1")


def test_what_is_switched_off_is_the_baseline(tmp_path: Path) -> None:
    """Of two factors, numbers are in their order too."""
    for augments, rate in product((["color"], []), (1e-3, 5e-4)):
        for seed in range(2):
            write_journal(
                tmp_path,
                f"run-{len(augments)}{seed}{rate * 1e4:02.0f}",
                seed=seed,
                stabilisers__diff_augment=augments,
                optimizer__lr=rate,
            )
    by = ["stabilisers.diff_augment", "optimizer.lr"]
    assert compare(load(tmp_path), by=by, metrics=["Gloss"]).labels == [
        "stabilisers.diff_augment=[], optimizer.lr=0.0005",
        "stabilisers.diff_augment=[], optimizer.lr=0.001",
        'stabilisers.diff_augment=["color"], optimizer.lr=0.0005',
        'stabilisers.diff_augment=["color"], optimizer.lr=0.001',
    ]


def test_seeds_that_differ_are_not_paired(tmp_path: Path) -> None:
    for seed in range(6):
        write_journal(tmp_path, f"a-{seed:06d}", seed=seed)
        write_journal(tmp_path, f"b-{seed:06d}", seed=seed + 100, init__scheme="default")
    comparison = compare(load(tmp_path), metrics=["Gloss"])
    assert not comparison.differences["paired"].any()
    assert comparison.differences["exact"].all()
    assert "over 6 and 6 runs, not paired by seed" in conclusion(comparison)


def test_arms_that_share_half_of_their_seeds_use_all_runs(tmp_path: Path) -> None:
    for seed in range(10):
        write_journal(tmp_path, f"a-{seed:06d}", seed=seed, losses=(1 + seed / 50, 1.0))
        write_journal(
            tmp_path,
            f"b-{seed:06d}",
            seed=seed + 5,
            init__scheme="default",
            losses=(3 + seed / 50, 1.0),
        )
    comparison = compare(load(tmp_path), metrics=["Gloss"])
    effect = row(comparison, "Gloss", "init.scheme=default")
    assert (effect["paired"], effect["counts"]) == (False, (10, 10)), "5 pairs could show nothing"
    assert effect["shown"]
    assert "over 10 and 10 runs, not paired by seed" in conclusion(comparison)
    assert not comparison.warnings


def test_unfinished_runs_and_older_twins_are_left_out(tmp_path: Path) -> None:
    two_arms(tmp_path, range(6))
    write_journal(tmp_path, "half-000001", seed=20, status="interrupted")
    write_journal(tmp_path, "old-000001", seed=3, losses=(99.0, 1.0), created=10)

    comparison = compare(load(tmp_path), metrics=["Gloss"])

    assert len(comparison.runs) == 12
    assert "half-000001" not in comparison.runs.index
    assert "old-000001" not in comparison.runs.index
    assert "1 interrupted" in comparison.warnings[0]
    assert "a newer one (old-000001)" in comparison.warnings[1]
    with pytest.raises(ComparisonError, match="no run has it"):
        compare(load(tmp_path), metrics=["fidd"])


def test_twins_that_differ_in_another_key_are_not_chosen_by_their_age(tmp_path: Path) -> None:
    """One learning rate is of the older runs in one arm, and of the newer ones in the other."""
    for seed in range(6):
        for created, (scheme, rate) in enumerate(
            [("dcgan", 2e-4), ("dcgan", 2e-3), ("default", 2e-3), ("default", 2e-4)]
        ):
            write_journal(
                tmp_path,
                f"run-{seed}{created}",
                seed=seed,
                created=created,
                init__scheme=scheme,
                optimizer__lr=rate,
            )
    with pytest.raises(ComparisonError, match=r"seed 0 differ in optimizer.lr(.|\n)*--by"):
        compare(load(tmp_path), by=["init.scheme"], anyway=True)


def test_several_factors_make_an_arm_of_each_combination(tmp_path: Path) -> None:
    for place, (scheme, rate) in enumerate(
        [("dcgan", 2e-4), ("default", 2e-4), ("dcgan", 2e-3), ("default", 2e-3)]
    ):
        for seed in range(2):
            write_journal(
                tmp_path,
                f"run-{place}{seed}",
                seed=seed,
                created=place,
                init__scheme=scheme,
                optimizer__lr=rate,
            )
    comparison = compare(load(tmp_path), by=["init.scheme", "optimizer.lr"])
    assert len(comparison.labels) == 4
    assert comparison.labels[0] == "init.scheme=dcgan, optimizer.lr=0.0002"
    assert comparison.arms[3].values == ("default", 2e-3)


def test_an_arm_of_one_run_and_one_pair_are_claimed_nothing(tmp_path: Path) -> None:
    write_journal(tmp_path, "a-000001", seed=0)
    write_journal(tmp_path, "b-000001", seed=0, init__scheme="default")
    comparison = compare(load(tmp_path))
    assert verdict(comparison) == "No claim can be made from so few runs."
    assert "over 1 pair of seeds: no claim can be made" in conclusion(comparison)
    assert "nan" not in " ".join(findings(comparison))


def test_equal_values_are_said_to_be_equal(tmp_path: Path) -> None:
    for seed in range(8):
        journal = write_journal(tmp_path, f"a-{seed:06d}", seed=seed)
        other = write_journal(tmp_path, f"b-{seed:06d}", seed=seed, init__scheme="default")
        lines = (tmp_path / "a-000000" / "metrics.jsonl").read_text()
        for folder in (journal, other):
            (folder / "metrics.jsonl").write_text(lines)
    comparison = compare(load(tmp_path))
    assert not comparison.differences["shown"].any()
    assert "nan" not in " ".join(findings(comparison))
    assert any(
        "8 runs with init.scheme=dcgan have the same values" in w for w in comparison.warnings
    )


def test_forty_arms_and_lists_as_values(tmp_path: Path) -> None:
    for place in range(40):
        for seed in range(2):
            write_journal(
                tmp_path,
                f"run-{place:02d}{seed}",
                seed=seed,
                stabilisers__diff_augment=["color"] * place,
            )
    comparison = compare(load(tmp_path), metrics=["Gloss"])
    assert len(comparison.labels) == 40
    assert comparison.tests == 39
    assert "at least 11 pairs of seeds are needed" in conclusion(comparison)
    assert len(findings(comparison)) <= 3
    unknown = with_outcomes(comparison, ["unknown"] * 3 + ["collapsed"] + ["whole"] * 76)
    assert "failed: 1 of 77 runs (3 more could not be judged)." in " ".join(findings(unknown))
    unknown = with_outcomes(comparison, ["unknown"] * 80)
    assert "failed: none of the 80 runs could be judged." in " ".join(findings(unknown))


def test_a_run_that_is_in_two_stores_counts_once(tmp_path: Path) -> None:
    for store in ("first", "second"):
        (tmp_path / store).mkdir()
        two_arms(tmp_path / store, range(6))
    comparison = compare(load(tmp_path / "first", tmp_path / "second"), metrics=["Gloss"])
    assert len(comparison.runs) == 12
    assert row(comparison, "Gloss", "init.scheme=default")["counts"] == (6, 6)
    assert not comparison.warnings, "they are the same runs, not twins"
