"""Which metrics are compared, and which cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import load
from analysis.comparison.arms import ComparisonError
from analysis.comparison.compare import compare
from analysis.comparison.measures import DEFAULTS, find_measures
from tests.support.sample_journals import write_journal

EVALUATED = {"lenet_fid": 5.0, "lenet_precision": 0.8, "lenet_recall": 0.7}


def evaluated(
    store: Path, identifier: str, seed: int, samples: int = 10_000, **config: str
) -> None:
    write_journal(
        store,
        identifier,
        seed=seed,
        evaluation=EVALUATED | {"lenet_fid": 5.0 + seed},
        fields={
            "sys/evaluation/samples": samples,
            "sys/evaluation/feature_space": "a LeNet, weights 917a8d317caf",
        },
        **config,
    )


def names(store: Path, *wanted: str) -> list[str]:
    runs = load(store)
    return [
        measure.name
        for measure in find_measures(runs, [str(run) for run in runs.table.index], wanted).measures
    ]


def test_two_metrics_with_one_last_name_keep_their_paths(tmp_path: Path) -> None:
    for arm in ("dcgan", "default"):
        write_journal(tmp_path, f"{arm}-0", seed=0, init__scheme=arm)
    paths = ("training/batch/Gloss", "training/epoch/Gloss")
    assert names(tmp_path, *paths) == list(paths)
    assert names(tmp_path, "Gloss", "Gloss") == ["Gloss"], "the same twice is one"
    comparison = compare(load(tmp_path), metrics=paths)
    assert {*paths} <= set(comparison.runs.columns)
    batch, epoch = (comparison.runs[path].iloc[0] for path in paths)
    assert batch != epoch


def test_a_metric_with_the_name_of_a_column_keeps_its_path(tmp_path: Path) -> None:
    for arm in ("dcgan", "default"):
        write_journal(tmp_path, f"{arm}-0", seed=0, init__scheme=arm, evaluation={"seed": 7.0})
    comparison = compare(load(tmp_path), metrics=["seed"])
    assert comparison.runs["evaluation/seed"].tolist() == [7.0, 7.0]
    assert comparison.runs["seed"].tolist() == [0, 0]


def test_an_ambiguous_name_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, "a-0", seed=0, evaluation={"Gloss": 1.0})
    with pytest.raises(
        ComparisonError, match=r"several\. Give the whole path: evaluation/Gloss, tr"
    ):
        names(tmp_path, "Gloss")


def test_a_metric_that_a_run_lacks_is_named(tmp_path: Path) -> None:
    for seed in range(6):
        evaluated(tmp_path, f"a-{seed}", seed)
        if seed:
            evaluated(tmp_path, f"b-{seed}", seed, init__scheme="default")
    write_journal(tmp_path, "b-0", seed=0, init__scheme="default")
    comparison = compare(load(tmp_path))
    assert comparison.measures[0].name == "lenet_fid"
    assert "1 run without LeNet-FID: b-0." in comparison.warnings


def test_a_metric_that_few_runs_have_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    for seed in range(4):
        write_journal(tmp_path, f"a-{seed}", seed=seed)
        write_journal(tmp_path, f"b-{seed}", seed=seed, init__scheme="default")
    evaluated(tmp_path, "b-9", 9, init__scheme="default")
    comparison = compare(load(tmp_path))
    assert [measure.name for measure in comparison.measures] == ["Gloss", "Dloss", "D_x", "D_G_z1"]
    assert any("LeNet-FID is left out: only 1 of 9 runs" in each for each in comparison.warnings)


def test_runs_without_the_default_metrics_are_told_which_they_have(tmp_path: Path) -> None:
    for arm in ("dcgan", "default"):
        write_journal(tmp_path, f"{arm}-0", seed=0, init__scheme=arm, metrics_left_out=DEFAULTS)
    with pytest.raises(
        ComparisonError, match=r"none of the metrics(.|\n)*--metric: D_G_z2, number"
    ):
        compare(load(tmp_path))
    assert names(tmp_path, "D_G_z2") == ["D_G_z2"]


def test_evaluations_of_different_numbers_of_samples_are_not_compared(tmp_path: Path) -> None:
    for seed in range(6):
        evaluated(tmp_path, f"a-{seed}", seed)
        evaluated(tmp_path, f"b-{seed}", seed, samples=200, init__scheme="default")
    runs = load(tmp_path)

    with pytest.raises(ComparisonError, match=r"number of samples: 10000 and 200(.|\n)*--anyway"):
        compare(runs, metrics=["lenet_fid"])

    remaining = compare(runs)
    assert [measure.name for measure in remaining.measures][:2] == ["Gloss", "Dloss"]
    assert (
        remaining.warnings.count(
            "The LeNet-FID, LeNet-precision and LeNet-recall were not measured in the same way in "
            "all runs (number of samples: 10000 and 200), so they are left out."
        )
        == 1
    )
    anyway = compare(runs, metrics=["lenet_fid"], anyway=True)
    assert [measure.name for measure in anyway.measures] == ["lenet_fid"]
    assert "number of samples: 10000 and 200" in anyway.overridden[0]
    assert "its values are compared anyway" in anyway.overridden[0]


def test_a_generator_in_mid_training_is_not_compared_with_finished_ones(tmp_path: Path) -> None:
    for seed in range(3):
        for arm, step in (("dcgan", 40), ("default", 20 if seed == 1 else 40)):
            write_journal(
                tmp_path,
                f"{arm}-{seed}",
                seed=seed,
                init__scheme=arm,
                evaluation=EVALUATED | {"best_lenet_fid": 4.0},
                evaluated_at=step,
            )
    runs = load(tmp_path)
    with pytest.raises(
        ComparisonError, match="time of the last evaluation: step 20 of 40 and the end"
    ):
        compare(runs, metrics=["lenet_fid"])
    assert names(tmp_path, "best_lenet_fid") == ["best_lenet_fid"]


def test_an_evaluation_whose_line_is_damaged_is_of_an_unknown_step(tmp_path: Path) -> None:
    for seed in range(3):
        for arm in ("dcgan", "default"):
            evaluated(tmp_path, f"{arm}-{seed}", seed, init__scheme=arm)
    journal = tmp_path / "default-2" / "metrics.jsonl"
    lines = journal.read_text().splitlines()
    damaged = [line[:20] if "lenet_fid" in line else line for line in lines]
    assert damaged != lines
    journal.write_text("\n".join(damaged) + "\n")
    said = "time of the last evaluation: not recorded and the end"
    with pytest.warns(match="1 damaged line skipped"), pytest.raises(ComparisonError, match=said):
        compare(load(tmp_path), metrics=["lenet_fid"])


def test_each_metric_depends_on_its_own_network_alone(tmp_path: Path) -> None:
    """Runs that were evaluated by Inception as well have the same LeNet's scores."""
    for seed in range(3):
        for arm, spaces in (("dcgan", "LeNet"), ("default", "Inception; LeNet")):
            write_journal(
                tmp_path,
                f"{arm}-{seed}",
                seed=seed,
                init__scheme=arm,
                evaluation={**EVALUATED, "fid": 9.0},
                fields={
                    "sys/evaluation/feature_space": spaces,
                    "sys/evaluation/features/lenet": "LeNet",
                    "sys/evaluation/features/inception": f"Inception by {arm}",
                },
            )
    runs = load(tmp_path)
    assert compare(runs, metrics=["lenet_fid"]).measures[0].name == "lenet_fid"
    with pytest.raises(ComparisonError, match="feature network: Inception by dcgan and Inception"):
        compare(runs, metrics=["fid"])


def test_feature_distances_are_never_compared_across_data_sets(tmp_path: Path) -> None:
    for seed in range(3):
        evaluated(tmp_path, f"a-{seed}", seed)
        evaluated(
            tmp_path,
            f"b-{seed}",
            seed,
            dataset__name="other",
            dataset__fingerprint="sha256:11",
        )
    with pytest.raises(ComparisonError, match="real images: sha256:00 and sha256:11"):
        compare(load(tmp_path), by=["dataset.name"], metrics=["lenet_fid"])
