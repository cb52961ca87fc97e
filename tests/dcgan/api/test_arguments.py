"""What people give to `import dcgan`: `~`, and runs of other stores and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcgan
from dcgan.api.training import references
from dcgan.sweeping.request import SweepRequest, find_or_plan
from tests.support.drawn_run import random_values, write_run

TINY: dict[str, Any] = {
    "network.generator_features": 4,
    "network.discriminator_features": 4,
    "network.latent_size": 8,
}
ARGUMENTS: dict[str, Any] = {"settings": TINY, "batch_size": 600, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dcgan.Run:
    """A run of one step, with the seed 0."""
    store = tmp_path_factory.mktemp("arguments") / "runs"
    return dcgan.train("digits", steps=1, seed=0, store=store, **ARGUMENTS)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory, which is not the working directory."""
    folder = tmp_path / "home"
    (tmp_path / "work").mkdir()
    folder.mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


def test_a_home_directory_is_meant_in_every_path(
    run: dcgan.Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = "~/mine.toml"
    (home / "mine.toml").write_text((run.folder / "artifacts" / "recipe.toml").read_text())
    trained = dcgan.train(recipe, steps=1, store="~/runs", device="cpu")
    assert trained.folder.parent == home / "runs"
    assert dcgan.open(store="~/runs") == trained
    assert list(dcgan.runs("~/runs").table.index) == [trained.id]
    sweep = SweepRequest(subject=recipe, seeds=(0,))
    assert find_or_plan(sweep, home / "runs")[0].runs[0].config.network.latent_size == 8
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "dcgan.evaluation.evaluate_run.evaluate_run",
        lambda folder, **arguments: asked.update(arguments) or [],
    )
    trained.evaluate(inception_weights="~/weights.pth")
    assert asked["weights"] == home / "weights.pth"
    monkeypatch.setattr("analysis.report.save_report", lambda content, path, kind: [path])
    monkeypatch.setattr("analysis.report.compose", lambda runs, generated: None)
    assert trained.report("~/report.md") == home / "report.md"
    assert list(Path.cwd().iterdir()) == []


def test_the_store_of_the_environment_may_be_in_the_home_directory(
    run: dcgan.Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "runs").symlink_to(run.folder.parent)
    monkeypatch.setenv("DCGAN_STORE", "~/runs")
    assert dcgan.open().id == run.id


def test_a_run_stays_where_it_is_when_the_working_directory_changes(
    run: dcgan.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(run.folder.parents[1])
    opened = dcgan.open(run.id, store="runs")
    assert f">runs/{run.id}<" in opened._repr_html_()
    monkeypatch.chdir(tmp_path)
    assert (opened.status, opened.steps) == ("finished", 1)
    assert opened == run
    assert f">{run.folder}<" in opened._repr_html_()


def test_weights_of_a_run_of_another_store(run: dcgan.Run, tmp_path: Path) -> None:
    assert references([run], run.folder.parent) == [run.id]
    other = dcgan.train("digits", steps=1, start_from=run, store=tmp_path, **ARGUMENTS)
    [weights] = other.config.init.weights or ()
    assert weights == str(run.folder / "checkpoints" / "step-00000001.pt")
    assert other.fields["sys/initial_weights/networks"] == ["generator", "discriminator"]


def test_a_loss_that_is_not_a_number_is_not_a_loss_that_is_missing(tmp_path: Path) -> None:
    values = random_values(250)
    values[199:, :2] = np.nan
    diverged = dcgan.Run(write_run(tmp_path / "run", values))
    losses = diverged.losses()
    assert losses.index.tolist() == list(range(1, 251))
    assert losses.index[losses["generator"].isna()].tolist() == list(range(200, 251))
    assert diverged.losses("epoch").index.tolist() == [100, 200]


def test_a_run_without_steps_has_an_empty_table_of_losses(tmp_path: Path) -> None:
    losses = dcgan.Run(write_run(tmp_path / "run", random_values(0))).losses()
    assert losses.columns.tolist() == ["generator", "discriminator"]
    assert losses.empty
