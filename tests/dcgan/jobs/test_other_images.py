"""A recipe on a user's own images: what the run says of itself, and of its length."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.data_names import data_set_name
from dcgan.cli import app
from dcgan.config.loading import load_config, parse_override, recipe_names
from dcgan.config.schema import Config
from dcgan.jobs.opening import run_warnings
from dcgan.jobs.other_images import FEW_STEPS, few_steps_warning, without_claims
from dcgan.jobs.overrides import data_overrides
from dcgan.jobs.prepare import Job, RunMetadata, prepare, prepare_resume
from dcgan.jobs.run import run_job
from dcgan.training.schedule import total_steps
from tests.dcgan.conftest import SMALL
from tests.support.image_folder import save
from tracking.backends.local import read_fields

OTHER = "other images, with the settings of celeba"


def configured(recipe: str, *settings: str) -> Config:
    return load_config(recipe, [parse_override(text) for text in settings])


def with_folder(recipe: str, *settings: str) -> Config:
    return configured(recipe, "dataset.name=folder", "dataset.path=/faces", *settings)


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(6):
        save(folder / f"{number}.png", number)
    return folder


def job_on(folder: Path, recipe: str, store: Path) -> Job:
    settings = [parse_override(text) for text in SMALL if "epochs" not in text]
    settings += [parse_override("training.batch_size=3"), parse_override("dataset.image_size=16")]
    settings += data_overrides(recipe, settings, folder)
    return prepare(load_config(recipe, settings), "cpu", store, (), RunMetadata())


def test_few_steps_of_a_recipe_for_many_images_are_told_of_with_what_to_type():
    assert few_steps_warning(with_folder("celeba"), 300) == (
        "Only 15 steps: celeba's 5 epochs are meant for 202,599 images, and here are 300. "
        "Try 5,000 steps with a batch size of 32."
    )
    small_batches = with_folder("celeba", "training.batch_size=32")
    assert str(few_steps_warning(small_batches, 300)).endswith("Try 5,000 steps.")
    assert not few_steps_warning(with_folder("celeba"), 40_000), "5 epochs are enough for so many"


@pytest.mark.parametrize("setting", ["training.steps=15", "training.epochs=6", "name=mine"])
def test_a_length_that_the_user_chose_is_not_warned_of(setting: str):
    assert not few_steps_warning(with_folder("celeba", setting), 300)


@pytest.mark.parametrize("recipe", recipe_names())
def test_no_recipe_warns_of_its_own_images(recipe: str):
    config = configured(recipe)
    size = config.source.images
    assert size is not None
    assert total_steps(config, size) > 2 * FEW_STEPS, "which is few by comparison"
    assert few_steps_warning(config, size) is None
    assert without_claims(config, size) is config


def test_another_number_of_images_or_another_set_is_not_the_published_experiment():
    assert without_claims(with_folder("anime"), 300).source.experiment == (
        "other images, with the settings of anime"
    )
    assert "S2" in without_claims(with_folder("anime"), 63_632).source.experiment
    on_mnist = configured("digits", "dataset.name=mnist")
    assert "other images" in without_claims(on_mnist, 60_000).description
    own = with_folder("celeba", "description='my cats'", "source.experiment='cats at home'")
    assert without_claims(own, 300) == own, "what a user wrote stays"


def test_a_run_on_own_photographs_says_so_and_goes_on(faces: Path, tmp_path: Path):
    store = tmp_path / "runs"
    job = job_on(faces, "celeba", store)
    (warning,) = (each for each in run_warnings(job) if "steps" in each)
    assert (
        "Only 10 steps: celeba's 5 epochs are meant for 202,599 images, and here are 6." in warning
    )
    calls = iter([False] * 3)
    stopped = run_job(
        job,
        ["dcgan"],
        listen=lambda event: None,
        warn=lambda message: None,
        stopping=lambda: next(calls, True),
    )
    fields = read_fields(stopped.folder)
    assert fields["config/description"] == fields["config/source/experiment"] == OTHER
    assert fields["config/source/images"] == 202_599, "what the number of epochs is meant for"

    again = job_on(faces, str(stopped.folder / "artifacts" / "recipe.toml"), store)
    assert again.config == job.config
    assert any("Only 10 steps" in each for each in run_warnings(again))
    resumed = prepare_resume(store, stopped.folder.name, "cpu")
    assert resumed.config == job.config
    ended = run_job(resumed, ["dcgan"], listen=lambda event: None, warn=lambda message: None)
    assert (ended.status, ended.steps) == ("finished", 10)


def test_dcgan_data_warns_of_the_length_of_a_recipe_that_is_named(faces: Path):
    named = CliRunner().invoke(app, ["data", str(faces), "--recipe", "anime"])
    assert "anime's 100 epochs are meant for 63,632 images" in " ".join(named.output.split())
    assert "epochs" not in CliRunner().invoke(app, ["data", str(faces)]).output


def test_the_folder_of_own_images_is_named():
    assert data_set_name("folder", "/home/me/faces") == "folder faces"
    assert data_set_name("mnist", "/home/me/data") == "mnist"
    assert data_set_name("folder", None) == "folder"
