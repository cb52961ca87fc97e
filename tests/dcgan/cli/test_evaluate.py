"""`dcgan evaluate`, on a run that trained for a moment."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from typer.testing import CliRunner, Result

from dcgan.api.run import Run
from dcgan.cli import app
from dcgan.cli.commands import fid as fid_command
from dcgan.config.loading import load_config
from dcgan.evaluation import evaluator
from dcgan.evaluation.evaluate_run import evaluate_run
from dcgan.evaluation.features import feature_space
from dcgan.evaluation.features.inception import INSTALL, Inception
from dcgan.run_folder.amend import amend
from dcgan.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from tests.dcgan.data.test_cache import save
from tracking.backends.local import last_values, read_fields, read_steps, run_folders
from tracking.errors import StoreError, StoreWarning
from tracking.events import SWEEP, Fields
from tracking.lock import locked

pytestmark = pytest.mark.usefixtures("few_projections")

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
    result = invoke("evaluate", folder.name, *FEW, *store_of(store))
    assert result.exit_code == 0, result.output
    assert "random_fid" in result.output
    assert "Fewer than the 120 asked for, because there are no more real images" in unwrapped(
        result
    )
    assert "lenet" not in result.output
    assert not re.search(r"(?<!_)\bfid\b(?!-)", result.output), "no metric is called plain FID"
    assert "200 labelled images are too few to train a classifier on" in unwrapped(result)
    assert INSTALL in result.output, "how to get plain FID"
    assert "FID of 100 images" not in result.output
    assert "100 images are too few for FID" in result.output
    assert "Not 10,000" not in result.output
    more = invoke(
        "evaluate", folder.name, "--samples", "5000", "--resamples", "1", *store_of(store)
    )
    assert "100 fakes per set" in more.output
    assert "Fewer than the 5,000 asked for, because there are no more real" in more.output


def unwrapped(result: Result) -> str:
    return re.sub(r"[\s│]+", " ", result.output)


def store_of(store: Path) -> tuple[str, str]:
    return "--store", str(store)


def test_images_that_are_not_finite_are_an_error(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "astro-nan111"
    shutil.copytree(next(each for each in run_folders(store) if "astro" in each.name), folder)
    scores = read_steps(folder).filter(like="evaluation/")
    (file,) = (folder / "checkpoints").glob("*.pt")
    checkpoint = torch.load(file, weights_only=True)
    for weights in checkpoint["generator"].values():
        weights.fill_(float("nan") if weights.is_floating_point() else 0)
    torch.save(checkpoint, file)
    for command in (
        ("evaluate", "--samples", "100"),
        ("sample", "-o", str(tmp_path / "black.png")),
        ("probe", "neighbours"),
    ):
        result = invoke(*command, *store_of(tmp_path))
        assert result.exit_code == 2, result.output
        assert "its training has diverged" in unwrapped(result)
    assert not (tmp_path / "black.png").exists()
    pd.testing.assert_frame_equal(read_steps(folder).filter(like="evaluation/"), scores)


def test_the_best_of_a_run_that_diverged_at_the_end_is_found(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "astro-nan222"
    shutil.copytree(next(each for each in run_folders(store) if "astro" in each.name), folder)
    checkpoints = folder / "checkpoints"
    state = load_checkpoint(checkpoints / "step-00000006.pt")
    save_checkpoint(checkpoints, 4, state | {"step": 4})
    for weights in state["generator"].values():
        weights.fill_(float("nan") if weights.is_floating_point() else 0)
    save_checkpoint(checkpoints, 6, state)
    command = ("evaluate", "--checkpoint", "all", "--samples", "100", "--resamples", "1")

    result = invoke(*command, *store_of(tmp_path))

    assert result.exit_code == 0, result.output
    assert "The checkpoint of step 6 is left out: 100 of 100 images" in unwrapped(result)
    assert [path.name for path in checkpoints.glob("*.best")] == ["step-00000004.best"]
    (checkpoints / "step-00000004.pt").unlink()
    result = invoke(*command, *store_of(tmp_path))
    assert result.exit_code == 2
    assert "its training has diverged" in unwrapped(result)


@pytest.fixture
def cheap_inception(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Features of 16 pixels under Inception's name, and how many images were computed.

    The metrics that take longest are left out.
    """
    for name in ("sliced_wasserstein_distance", "kernel_distance", "multiscale_similarity"):
        monkeypatch.setattr(evaluator, name, lambda *images: 0.0)
    computed: list[int] = []

    def extract(pixels: Tensor) -> Tensor:
        computed.append(len(pixels))
        return adaptive_avg_pool2d(pixels.float().mean(dim=1, keepdim=True), 4).flatten(1)

    inception = Inception("", extract, "a stand-in", f"{tmp_path}")
    monkeypatch.setattr(feature_space, "load_inception", lambda file, device: inception)
    monkeypatch.setattr(feature_space.inception, "find_weights", lambda: tmp_path)
    return computed


def test_all_checkpoints_are_a_series_and_share_the_real_features(
    store: Path, tmp_path: Path, cheap_inception: list[int]
) -> None:
    folder = tmp_path / "astro-series"
    shutil.copytree(next(each for each in run_folders(store) if "astro" in each.name), folder)
    checkpoints = folder / "checkpoints"
    state = load_checkpoint(checkpoints / "step-00000006.pt")
    for step in (2, 4):  # the same weights, as if they had been kept
        save_checkpoint(checkpoints, step, state | {"step": step}, marked=True)
    losses = read_steps(folder)["training/batch/Gloss"].tolist()
    command = ("evaluate", "--checkpoint", "all", "--samples", "100", "--resamples", "1")

    result = invoke(*command, *store_of(tmp_path))

    assert result.exit_code == 0, result.output
    assert sum(cheap_inception) == 2 * 100 + 3 * 100, "the real images' features are shared"
    assert result.output.count("fakes per set against") == 3
    for note in ("Spread: ", "probe neighbours"):
        assert result.output.count(note) == 1, "what explains all tables is told once"
    series = read_steps(folder)[["step", "evaluation/fid", "evaluation/random_fid"]].dropna()
    assert series["step"].tolist() == [2, 4, 6]
    assert series["evaluation/fid"].nunique() == 1
    assert read_steps(folder)["training/batch/Gloss"].tolist() == losses
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").open()]
    assert steps == sorted(steps), "the journal stays in the order of steps"
    last = last_values(folder)
    assert last["step"] == 6
    assert last["evaluation/fid"] == series["evaluation/fid"].iloc[-1]
    assert read_fields(folder)["sys/evaluation/better/fid"] == "lower"
    assert find_checkpoint(checkpoints, "best").exists(), "it was not evaluated before"

    cheap_inception.clear()
    one = invoke(*command[:1], "--checkpoint", "4", "--samples", "99", *store_of(tmp_path))
    assert one.exit_code == 2, "at least 100"
    one = invoke(*command[:2], "4", *command[3:], *store_of(tmp_path))
    assert "Not written" not in one.output
    assert sum(cheap_inception) == 100, "those of real images are kept for another time"
    other = invoke(*command[:2], "4", *command[3:], "--no-inception", *store_of(tmp_path))
    assert "measured differently (feature space: a stand-in" in other.output
    other = invoke(*command[:2], "4", *command[3:], "--no-inception", "--json", *store_of(tmp_path))
    assert [tree["step"] for tree in json.loads(other.stdout)] == [4]
    assert "measured differently (feature space: a stand-in" in unwrapped(other)
    with pytest.warns(StoreWarning, match=r"at step 4 are not written .* measured differently"):
        Run(folder).evaluate(4, samples=100, resamples=1, inception=False, progress=False)
    assert len(read_steps(folder)["evaluation/fid"].dropna()) == 3


def test_a_run_and_a_folder_have_a_distance(
    store: Path, tmp_path: Path, cheap_inception: list[int]
) -> None:
    (tmp_path / "images").mkdir()
    for number in range(7):
        save(tmp_path / "images" / f"{number}.png", number)
    folder = next(each for each in run_folders(store) if each.name.startswith("astro"))
    arguments = ("fid", folder.name, str(tmp_path / "images"), "--samples", "20")

    result = invoke(*arguments, "--json", *store_of(store))

    assert result.exit_code == 0, result.output
    tree = json.loads(result.stdout)
    assert (tree["a"]["count"], tree["b"]["count"]) == (20, 7)
    assert tree["fid"] > 0
    assert len(tree["warnings"]) == 1, "they have the same size"
    assert "7 images are too few for FID" in tree["warnings"][0]
    text = invoke(*arguments, *store_of(store)).output
    assert f"FID {tree['fid']:.4g}" in text
    assert "20 fakes of the run" in text
    assert sum(cheap_inception) == 20 + 7 + 20, "the folder's are kept"
    same = invoke("fid", "digits", "digits", "--samples", "30", "--json")
    assert json.loads(same.stdout)["fid"] == pytest.approx(0, abs=1e-3)
    sizes = invoke("fid", "digits", str(tmp_path / "images"))
    assert "have different sizes" in sizes.output


def test_all_splits_of_a_folder_are_compared_next_to_a_run_too(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        (tmp_path / split).mkdir()
        for number in range(count):
            save(tmp_path / split / f"{number}.png", number)
    digits = load_config("digits", []).dataset
    own = digits.model_copy(update={"name": "folder", "path": str(tmp_path)})
    subject = fid_command._Subject(folder=tmp_path)
    counts = [
        fid_command._source(subject, form, None, None, download=False).count
        for form in (None, digits, own)
    ]
    assert counts == [5, 5, 3], "of its own folder what it was trained on"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("/nowhere/images", "digits"), "there is no such folder"),
        (
            ("digits", "cifar99"),
            "'cifar99' is neither a folder of images, nor a data set, nor a run",
        ),
        (("digits", "mnist:test"), "Give the folder that holds"),
        (("digits", "digits:test"), "all but digits and sky with :train"),
    ],
)
def test_what_is_not_there_is_told(
    arguments: tuple[str, ...], message: str, cheap_inception: list[int], tmp_path: Path
) -> None:
    result = invoke("fid", *arguments, *store_of(tmp_path))
    assert result.exit_code == 2
    assert message in unwrapped(result)


@pytest.mark.parametrize("option", ["--inception-weights", "--weights"])
def test_a_file_of_inception_is_given_by_its_name_or_the_former_one(
    option: str, tmp_path: Path
) -> None:
    (tmp_path / "file.pth").write_text("no weights")
    result = invoke("fid", "digits", "digits", option, str(tmp_path / "file.pth"))
    assert result.exit_code == 2, result.output
    assert "holds no weights of Inception" in re.sub(r"[\s│]+", " ", result.output)
    assert "--weights" not in invoke("fid", "--help").output


def test_without_weights_it_is_said_how_to_get_them() -> None:
    result = invoke("fid", "digits", "digits")
    assert result.exit_code == 2
    assert INSTALL in unwrapped(result)
    assert "class_coverage" not in result.output


def test_a_mistake_is_told(store: Path) -> None:
    result = invoke("evaluate", "last", "--checkpoint", "99", "--store", str(store))
    assert result.exit_code == 2
    assert "There is no checkpoint of step 99" in unwrapped(result)


def test_the_runs_of_a_sweep_are_evaluated_at_once(
    store: Path, tmp_path: Path, cheap_inception: list[int]
) -> None:
    source = next(each for each in run_folders(store) if each.name.startswith("astro"))
    for name, sweep in (("a", "rates"), ("b", "rates"), ("c", "rates"), ("d", "others")):
        folder = tmp_path / f"astro-{name}"
        shutil.copytree(source, folder)
        amend(folder, [Fields({f"{SWEEP}/id": f"{sweep}-1", f"{SWEEP}/name": sweep})])
    shutil.rmtree(tmp_path / "astro-c" / "checkpoints")
    shutil.copytree(tmp_path / "astro-a", tmp_path / "astro-e")
    few = ("--samples", "100", "--resamples", "1", *store_of(tmp_path))

    with locked(tmp_path / "astro-e", training=True):
        result = invoke("evaluate", "--sweep", "rates", "--json", *few)

    assert result.exit_code == 0, result.output
    assert [tree["run"] for tree in json.loads(result.stdout)] == ["astro-a", "astro-b"]
    assert "The run astro-c is left out: it has no checkpoint" in result.stderr
    assert "The run astro-e is left out: it is being trained" in result.stderr
    assert "evaluation/fid" not in read_steps(tmp_path / "astro-d")
    absent = invoke("evaluate", "--sweep", "rats", *few)
    assert absent.exit_code == 2
    assert "No run here belongs to a sweep 'rats'" in unwrapped(absent)


def test_a_run_without_the_checkpoint_is_an_error_before_the_first_is_evaluated(
    store: Path, tmp_path: Path, cheap_inception: list[int]
) -> None:
    source = next(each for each in run_folders(store) if each.name.startswith("astro"))
    for name in ("a", "b"):
        shutil.copytree(source, tmp_path / f"astro-{name}")
    save_checkpoint(tmp_path / "astro-a" / "checkpoints", 3, {}, marked=True)

    result = invoke("evaluate", "astro-a", "astro-b", "--checkpoint", "3", *store_of(tmp_path))

    assert result.exit_code == 2
    assert "There is no checkpoint of step 3; choose one of: 6" in unwrapped(result)
    assert not cheap_inception


def test_a_run_that_is_being_written_is_refused_before_anything_is_measured(
    store: Path, cheap_inception: list[int]
) -> None:
    folder = next(each for each in run_folders(store) if each.name.startswith("astro"))
    for training, reason in ((True, "is being trained"), (False, "is being written")):
        with locked(folder, training=training):
            result = invoke("evaluate", folder.name, *store_of(store))
            with pytest.raises(StoreError, match=reason):
                next(evaluate_run(folder, samples=100))
        assert result.exit_code == 2
        assert reason in unwrapped(result)
    assert not cheap_inception
