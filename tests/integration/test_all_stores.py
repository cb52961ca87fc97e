"""One training with all trackers on: all stores read back as the same two tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from tracking.backends import REMOTES, load_backend
from tracking.backends.local import run_folders
from tracking.events import TRACKERS

STORES = ("local", *REMOTES)
SETTINGS = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    "training.epochs=2",
    "images.every_steps=40",
    "images.count=9",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all") / "runs"
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    trackers = [part for name in REMOTES for part in ("--tracker", name)]
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("MLFLOW_TRACKING_URI", "NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT"):
            patch.delenv(variable, raising=False)
        result = CliRunner().invoke(
            app,
            ["train", *settings, *trackers,
             "--group", "all", "--tag", "one", "--tag", "two", "--store", str(folder)],
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "stopped" not in result.output
    return folder


def test_every_remote_says_that_it_is_complete(store: Path):
    runs = load_backend("local").load_runs(store)
    for name in REMOTES:
        assert list(runs[f"{TRACKERS}/{name}"]) == ["complete"]


def test_the_run_tables_agree_value_for_value(store: Path):
    local, *others = (load_backend(name).load_runs(store) for name in STORES)
    local = local.drop(columns=[column for column in local if column.startswith(TRACKERS)])
    assert local.shape[0] == 1
    assert local["config/dataset/size"].item() == 1797
    assert local["sys/status"].item() == "finished"
    for other in others:
        pd.testing.assert_frame_equal(other, local, check_exact=True)
        for column in local:
            assert type(other[column].item()) is type(local[column].item()), column


def test_the_step_tables_agree_value_for_value(store: Path):
    (run,) = run_folders(store)
    local, *others = (load_backend(name).load_steps(store, run.name) for name in STORES)
    assert list(local["step"]) == list(range(1, 115))
    assert local.filter(like="training/batch/").notna().all(axis=None)
    assert local["training/epoch/Gloss"].notna().sum() == 2
    assert np.isfinite(local["training/batch/Gloss"]).all()
    for other in others:
        pd.testing.assert_frame_equal(other, local, check_exact=True)


def test_mlflow_holds_the_pictures_and_both_architectures(store: Path):
    (run,) = run_folders(store)
    artifacts = store / "mlflow-artifacts"
    for name in ("Generator_arch", "Discriminator_arch"):
        (copy,) = artifacts.rglob(f"{name}.txt")
        assert copy.read_text() == (run / "artifacts" / f"{name}.txt").read_text()
    final = np.asarray(PIL.Image.open(sorted(run.glob("images/fixed_noise/*.png"))[-1]))
    logged = [np.asarray(PIL.Image.open(path)) for path in artifacts.rglob("*+step+114+*.png")]
    assert any(image.shape[:2] == final.shape[:2] and (image == final).all() for image in logged)


def test_the_architecture_dump_has_the_layers_and_their_parameter_counts(store: Path):
    (run,) = run_folders(store)
    dump = (run / "artifacts" / "Discriminator_arch.txt").read_text()
    for part in ("LeakyReLU(negative_slope=0.2", "[32, 1, 32, 32]", "Output Shape", "Total params"):
        assert part in dump


def test_the_rescued_recipe_trains_the_same_run_again(store: Path, tmp_path: Path):
    (run,) = run_folders(store)
    again = tmp_path / "runs"
    recipe = str(run / "artifacts" / "recipe.toml")
    result = CliRunner().invoke(app, ["train", recipe, "--store", str(again)])
    assert result.exit_code == 0, result.output
    (repeated,) = run_folders(again)
    local = load_backend("local")
    pd.testing.assert_frame_equal(
        local.load_steps(again, repeated.name).filter(regex="^(step|training/)"),
        local.load_steps(store, run.name).filter(regex="^(step|training/)"),
        check_exact=True,
    )
