"""A run goes on to another length: as if it had had that length from its first step."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.config.loading import Override, load_config, parse_override
from dcgan.config.schema import ConfigError
from dcgan.jobs.length import notes_on_length
from dcgan.jobs.prepare import Job, RunMetadata, prepare, prepare_resume
from dcgan.jobs.run import run_job
from dcgan.run_folder.trained_run import read_config
from dcgan.training.checkpoint import CheckpointError, find_checkpoint, load_checkpoint
from tests.dcgan.conftest import SMALL
from tracking.backends.local import read_fields, read_steps
from tracking.errors import StoreError
from tracking.events import Event, File

THREE_BATCHES = ("training.batch_size=600", "images.every_steps=4", "stabilisers.generator_ema=0.9")
"""Of the 1,797 digits; the grids' interval does not end with an epoch."""


def trained(job: Job, steps: int | None = None) -> Path:
    """Run a job to its end, or until `steps` more are done."""
    calls = iter([False] * ((steps or 1_000) - 1))
    return run_job(
        job,
        ["dcgan"],
        listen=lambda event: None,
        warn=lambda message: None,
        stopping=lambda: next(calls, True),
    ).folder


def new_run(store: Path, *settings: str, recipe: str = "digits", steps: int | None = None) -> Path:
    texts = (*SMALL, *THREE_BATCHES, *settings)
    config = load_config(recipe, [parse_override(text) for text in texts])
    return trained(prepare(config, "cpu", store, (), RunMetadata()), steps)


def resumed(folder: Path, key: str, value: int) -> Path:
    length = [Override(f"training.{key}", value, f"--{key} {value}")]
    return trained(prepare_resume(folder.parent, folder.name, "cpu", length=length))


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_run(tmp_path_factory.mktemp("finished"), "training.epochs=2")


@pytest.fixture(scope="module")
def three_at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_run(tmp_path_factory.mktemp("at-once"), "training.epochs=3")


@pytest.fixture
def finished(two_epochs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_epochs, tmp_path / two_epochs.name))


def assert_equal(first: Any, second: Any) -> None:
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_equal(first[key], second[key])
    elif isinstance(first, list):
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    else:
        assert torch.equal(first, second) if torch.is_tensor(first) else first == second


def assert_same_training(first: Path, second: Path) -> None:
    """The same state after the last step, and the same metrics of every step, bit for bit."""
    last, other = (
        load_checkpoint(find_checkpoint(each / "checkpoints")) for each in (first, second)
    )
    assert_equal(last, other)
    tables = [
        read_steps(each).set_index("step").filter(like="training/") for each in (first, second)
    ]
    steps = tables[1].dropna(how="all").index
    assert tables[0].loc[steps].equals(tables[1].loc[steps])
    assert len(steps) > 6


def test_a_finished_run_goes_on_as_if_it_had_been_asked_for_more_at_once(
    finished: Path, three_at_once: Path
) -> None:
    folder = resumed(finished, "epochs", 3)
    assert folder == finished
    assert_same_training(folder, three_at_once)
    fields = read_fields(folder)
    assert fields["sys/status"] == "finished"
    assert fields["config/training/epochs"] == 3
    assert fields["sys/lengths"] == ["2 epochs", "3 epochs"]
    assert read_config(folder) == read_config(three_at_once)


def test_steps_that_end_within_an_epoch_go_on_within_it(
    tmp_path: Path, three_at_once: Path
) -> None:
    folder = new_run(tmp_path / "short", "training.steps=5")
    resumed(folder, "steps", 8)
    resumed(folder, "epochs", 3)
    assert_same_training(folder, three_at_once)
    fields = read_fields(folder)
    assert fields["sys/lengths"] == ["5 steps", "8 steps", "3 epochs"]
    assert fields["config/training/steps"] is None


def test_an_interrupted_run_gets_another_length_too(tmp_path: Path, three_at_once: Path) -> None:
    folder = new_run(tmp_path / "interrupted", "training.epochs=9", steps=4)
    resumed(folder, "epochs", 3)
    assert_same_training(folder, three_at_once)


@pytest.mark.parametrize("is_named_again", [True, False])
def test_a_kill_between_recipe_and_fields_does_not_lose_the_former_length(
    finished: Path, is_named_again: bool
) -> None:
    def kill(event: Event) -> None:
        if isinstance(event, File):  # the recipe
            raise KeyboardInterrupt

    length = [Override("training.epochs", 3, "--epochs 3")]
    job = prepare_resume(finished.parent, "last", "cpu", length=length)
    run_job(job, [], listen=kill, warn=lambda _: None)
    assert read_config(finished).training.epochs == 3
    assert read_fields(finished)["config/training/epochs"] == 2
    if is_named_again:
        resumed(finished, "epochs", 3)
    else:
        trained(prepare_resume(finished.parent, "last", "cpu"))
    fields = read_fields(finished)
    assert fields["sys/lengths"] == ["2 epochs", "3 epochs"]
    assert fields["config/training/epochs"] == 3


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "epochs",
            2,
            r"6 steps already, and its new length is 2 epochs, which are 6 steps.\nGive a larger",
        ),
        ("steps", 5, r"has trained 6 steps already, and its new length is 5 steps\.\n"),
        ("epochs", 0, r"training.epochs = 0: it should be greater than or equal to 1 \(--epochs"),
    ],
)
def test_a_length_that_is_done_already_is_refused(
    finished: Path, key: str, value: int, message: str
) -> None:
    before = content(finished)
    with pytest.raises(ConfigError, match=message):
        resumed(finished, key, value)
    assert content(finished) == before


def test_noise_that_fades_over_the_run_is_refused(tmp_path: Path) -> None:
    noise = "stabilisers.instance_noise=0.1"
    folder = new_run(tmp_path, "training.steps=2", noise)
    with pytest.raises(ConfigError, match=r"fell to 0 over 2 steps.*\n.*--from"):
        resumed(folder, "steps", 3)


def test_a_finished_run_without_checkpoints_is_refused_and_kept(finished: Path) -> None:
    shutil.rmtree(finished / "checkpoints")
    before = content(finished)
    with pytest.raises(CheckpointError, match=r"no checkpoint to continue.*\n.*dcgan train .*toml"):
        resumed(finished, "epochs", 4)
    assert content(finished) == before


def test_what_a_source_derives_from_its_epochs_is_told_of() -> None:
    config = load_config("mnist-ablation", [])
    told = "In the source of mnist-ablation, optimizer.weight_decay is 2e-4 / number of epochs. "
    assert [note[: len(told)] for note in notes_on_length(config)] == [told]
    source = config.source.model_copy(update={"depends_on_epochs": ""})
    assert list(notes_on_length(config.model_copy(update={"source": source}))), "of an older run"
    assert not list(notes_on_length(load_config("digits", [])))


def test_the_command_says_how_a_finished_run_goes_on(finished: Path) -> None:
    def resume(*options: str) -> str:
        arguments = ["resume", "last", "--store", str(finished.parent), "--device", "cpu", *options]
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "150"}).output

    assert f"dcgan resume {finished.name} --epochs N" in resume()
    assert "one excludes the other" in resume("--epochs", "3", "--steps", "9")
    said = resume("--epochs", "3")
    assert f"Continuing {finished.name} after step 6." in said
    assert "finished after 9 of 9 steps" in said


def test_a_run_that_has_finished_is_not_resumed_without_a_length(finished: Path) -> None:
    with pytest.raises(StoreError, match="has finished"):
        prepare_resume(finished.parent, "last", "cpu")
