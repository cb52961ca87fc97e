"""`dcgan evaluate`, on a run that trained for a moment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tracking.backends.local import last_values, read_fields, read_steps, run_folders

METRICS = {
    "lenet_fid",
    "lenet_kid",
    "lenet_precision",
    "lenet_recall",
    "lenet_density",
    "lenet_coverage",
    "lenet_two_sample_accuracy",
    "lenet_two_sample_accuracy_real",
    "lenet_two_sample_accuracy_fake",
    "lenet_memorisation",
    "class_coverage",
    "class_divergence",
    "sliced_wasserstein",
    "ms_ssim",
}
TINY = [
    part
    for setting in (
        "network.generator_features=4",
        "network.discriminator_features=4",
        "images.count=4",
        "training.batch_size=256",
        "training.steps=6",
    )
    for part in ("--set", setting)
]
FEW = ("--samples", "120", "--resamples", "2")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on labelled images, and one on 200 of which a classifier would learn nothing."""
    folder = tmp_path_factory.mktemp("runs")
    for recipe, batch in (("digits", "256"), ("astro", "100")):
        more = ["--batch-size", batch, "--store", str(folder)]
        result = invoke("train", recipe, *TINY, *more)
        assert result.exit_code == 0, result.output
    return folder


def test_a_run_is_evaluated_and_keeps_its_scores(store: Path) -> None:
    folder = next(each for each in run_folders(store) if each.name.startswith("digits"))
    steps = len(read_steps(folder))

    result = invoke("evaluate", folder.name, *FEW, "--store", str(store), "--json")

    assert result.exit_code == 0, result.output
    (tree,) = json.loads(result.stdout)
    scores = {score["name"]: score for score in tree["scores"]}
    assert scores.keys() == METRICS
    fid = scores["lenet_fid"]
    assert fid["value"] > 10 * fid["floor"], "six steps make no digits"
    assert fid["spread"] > 0
    assert fid["samples"] == 120
    last, fields = last_values(folder), read_fields(folder)
    assert last["evaluation/lenet_fid"] == fid["value"]
    assert fields["sys/evaluation/floor/lenet_fid"] == fid["floor"]
    better = {name: fields[f"sys/evaluation/better/{name}"] for name in METRICS}
    assert better == {name: score["better"] for name, score in scores.items()}
    assert better["lenet_recall"] == "higher"
    assert better["lenet_memorisation"] == "0.5"
    assert "a LeNet trained here" in str(fields["sys/evaluation/feature_space"])
    assert fields["sys/status"] == "finished"
    assert len(read_steps(folder)) == steps

    again = invoke("evaluate", folder.name, *FEW, "--store", str(store))
    assert f"{fid['value']:.4g}" in again.output, "the same fakes, the same numbers"
    chosen = invoke(
        "runs", "--where", "lenet_fid > 0", "--sort", "lenet_fid", "--store", str(store)
    )
    assert folder.name in chosen.output


def test_without_enough_labels_the_features_are_random_and_named_so(store: Path) -> None:
    folder = next(each for each in run_folders(store) if each.name.startswith("astro"))
    result = invoke("evaluate", folder.name, *FEW, "--samples", "100", "--store", str(store))
    assert result.exit_code == 0, result.output
    assert "random_fid" in result.output
    assert "lenet" not in result.output
    assert not re.search(r"(?<!_)\bfid\b", result.output), "no metric is called plain FID"
    assert "class_coverage" not in result.output


def test_a_mistake_is_told(store: Path) -> None:
    result = invoke("evaluate", "last", "--checkpoint", "99", "--store", str(store))
    assert result.exit_code == 2
    assert "There is no checkpoint of step 99" in re.sub(r"[\s│]+", " ", result.output)
