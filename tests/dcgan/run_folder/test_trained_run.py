"""A run's folder, opened for its configuration and its networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dcgan.config.loading import parse_override
from dcgan.config.schema import ConfigError
from dcgan.run_folder import CHECKPOINT_DIR, RECIPE_FILE
from dcgan.run_folder.trained_run import TrainedRun, read_config, with_images_in
from dcgan.training.checkpoint import CheckpointError, save_checkpoint
from tests.support.sample_journals import STEPS
from tests.support.untrained_run import write_untrained_run
from tracking.errors import StoreError

EMA = "stabilisers.generator_ema=0.5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_untrained_run(tmp_path, "digits-aaaaaa", EMA)


def assert_has(network: nn.Module, state: dict[str, torch.Tensor], prefix: str = "") -> None:
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, state[prefix + name], rtol=0, atol=0)


def test_both_networks_are_those_of_the_checkpoint(folder: Path):
    run = TrainedRun.open(folder)
    assert (run.folder, run.step, run.is_latest) == (folder, STEPS, True)
    assert_has(run.generator("current"), run.state["generator"])
    assert_has(run.generator("ema"), run.state["average"], "module.")
    assert_has(run.discriminator(), run.state["discriminator"])


@pytest.mark.parametrize("weights", ["current", "ema"])
def test_without_a_choice_g_has_the_weights_of_the_runs_own_grids(tmp_path: Path, weights: str):
    folder = write_untrained_run(tmp_path, "digits-aaaaaa", EMA, f"images.weights={weights}")
    run = TrainedRun.open(folder)
    chosen = run.generator(weights).state_dict()  # type: ignore[arg-type]
    assert_has(run.generator(), chosen)


def test_a_run_without_an_average_of_g_says_how_to_have_one(tmp_path: Path):
    run = TrainedRun.open(write_untrained_run(tmp_path, "digits-aaaaaa", EMA.replace("0.5", "0")))
    with pytest.raises(ConfigError, match=r"no moving average of G\.\nTrain one with stabilisers"):
        run.generator("ema")


def test_a_checkpoint_before_the_last_is_not_the_latest(folder: Path):
    later = TrainedRun.open(folder).state | {"step": STEPS + 1}
    save_checkpoint(folder / CHECKPOINT_DIR, STEPS + 1, later)
    assert [TrainedRun.open(folder, each).is_latest for each in (STEPS, "last")] == [False, True]


def test_networks_of_another_shape_are_refused(folder: Path):
    recipe = (folder / RECIPE_FILE).read_text(encoding="utf-8")
    wider = recipe.replace("generator_features = 4", "generator_features = 8")
    (folder / RECIPE_FILE).write_text(wider, encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"of step {STEPS} does not fit this run's networks"):
        TrainedRun.open(folder).generator("current")


def test_a_folder_without_a_recipe_cannot_be_opened(folder: Path):
    (folder / RECIPE_FILE).unlink()
    with pytest.raises(StoreError, match=r"The run digits-aaaaaa cannot be opened: .* is missing"):
        TrainedRun.open(folder)


def test_overrides_change_the_configuration_that_is_read_but_not_the_recipe(folder: Path):
    before = (folder / RECIPE_FILE).read_bytes()
    assert read_config(folder, [parse_override("training.epochs=9")]).training.epochs == 9
    assert (folder / RECIPE_FILE).read_bytes() == before


def test_images_are_found_by_an_absolute_path(folder: Path, monkeypatch: pytest.MonkeyPatch):
    digits = read_config(folder)
    assert with_images_in(digits, None) is digits
    with pytest.raises(ConfigError, match="come with the program"):
        with_images_in(digits, "faces")
    monkeypatch.chdir(folder.parent)
    own_images = digits.replace("dataset", name="folder", path="elsewhere")
    assert with_images_in(own_images, "faces").dataset.path == str(folder.parent / "faces")
