"""An interrupted run is resumed, or refused as it is: nothing is destroyed before the checks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import ConfigError
from dcgan.data.image_set import DataError
from dcgan.evaluation.evaluate_run import evaluate_run
from dcgan.jobs.opening import note_on_threads
from dcgan.jobs.prepare import Job, RunMetadata, prepare, prepare_resume
from dcgan.jobs.run import TrainingResult, run_job
from dcgan.run_folder.trained_run import read_config
from dcgan.training.checkpoint import CheckpointError, find_checkpoint
from tests.dcgan.conftest import SMALL
from tests.dcgan.training.test_other_device import as_saved_on_cuda
from tests.support.largest_file import largest_file
from tracking.backends import load_backend
from tracking.backends.local import (
    amend_fields,
    last_values,
    load_steps,
    read_fields,
    run_folders,
)
from tracking.clock import now_ms
from tracking.errors import StoreError
from tracking.events import Event, File
from tracking.transfer import send_run

STEPS = 6


def run(job: Job, steps: int = STEPS) -> TrainingResult:
    """Run a job until `steps` more steps are done."""
    calls = iter([False] * (steps - 1))
    return run_job(
        job,
        ["dcgan"],
        listen=lambda event: None,
        warn=lambda message: None,
        stopping=lambda: next(calls, True),
    )


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that was interrupted, and one of whose steps came after the checkpoint."""
    store = tmp_path_factory.mktemp("interrupted")
    config = load_config("digits", [parse_override(text) for text in SMALL])
    folder = run(prepare(config, "cpu", store, (), RunMetadata())).folder
    with (folder / "metrics.jsonl").open("a") as metrics:
        metrics.write(f'{{"step": {STEPS + 1}, "time": 1, "training/batch/Gloss": 0.5}}\n')
    return store


@pytest.fixture
def store(interrupted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(interrupted, tmp_path / "store"))


def content(folder: Path) -> dict[str, bytes]:
    """All files of a run but its lock and its checkpoints."""
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    return {
        name: file.read_bytes()
        for name, file in files.items()
        if not name.endswith("lock") and not name.startswith("checkpoints")
    }


def of_other_shape(state: dict[str, Any]) -> None:
    state["generator"][next(iter(state["generator"]))] = torch.zeros(3)


def with_moments_of_other_shape(state: dict[str, Any]) -> None:
    state["generator_optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)


def of_another_step(state: dict[str, Any]) -> None:
    state["step"] += 1


def without_most(state: dict[str, Any]) -> None:
    for name in set(state) - {"step"}:
        del state[name]


@pytest.mark.parametrize(
    "change", [of_other_shape, with_moments_of_other_shape, of_another_step, without_most]
)
def test_a_checkpoint_that_does_not_fit_leaves_the_run_as_it_was(
    store: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    (folder,) = run_folders(store)
    path = find_checkpoint(folder / "checkpoints")
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    before = content(folder)
    with pytest.raises(CheckpointError, match=f"step {STEPS}"):
        run(prepare_resume(store, "last", "cpu"))
    assert content(folder) == before


def test_a_run_that_finished_meanwhile_is_not_trained_again(store: Path) -> None:
    (folder,) = run_folders(store)
    job = prepare_resume(store, "last", "cpu")
    amend_fields(folder, {"sys/status": "finished"})
    before = content(folder)
    with pytest.raises(StoreError, match="has finished"):
        run(job)
    assert content(folder) == before


def test_a_run_that_was_continued_meanwhile_is_not_rewound(store: Path) -> None:
    (folder,) = run_folders(store)
    job = prepare_resume(store, "last", "cpu")
    run(prepare_resume(store, "last", "cpu"), steps=1)
    before = content(folder)
    with pytest.raises(StoreError, match="continued by another process"):
        run(job)
    assert content(folder) == before


def test_a_disk_that_is_full_at_the_end_is_an_error_that_says_what_is_lost(
    interrupted: Path, tmp_path: Path
) -> None:
    config = read_config(run_folders(interrupted)[0])
    job = prepare(config, "cpu", tmp_path, (), RunMetadata())
    with ExitStack() as full, pytest.raises(StoreError) as raised:

        def stopping() -> bool:
            full.enter_context(largest_file(10))
            return True

        run_job(job, [], listen=lambda _: None, warn=lambda _: None, stopping=stopping)
    message = str(raised.value)
    assert "was trained to step 1, but not all of it is kept" in message
    assert "Its journal ends at step 0: OSError: [Errno 27] File too large" in message
    assert "The checkpoint of step 1 is missing, there is none" in message
    (folder,) = run_folders(tmp_path)
    assert read_fields(folder)["sys/status"] == "killed"
    assert run(prepare_resume(tmp_path, "last", "cpu")).steps == STEPS


def test_a_run_that_ended_while_it_was_described_is_described_when_it_is_resumed(
    interrupted: Path, tmp_path: Path
) -> None:
    (whole,) = run_folders(interrupted)
    job = prepare(read_config(whole), "cpu", tmp_path, (), RunMetadata())

    def interrupt(event: Event) -> None:
        if isinstance(event, File):  # the recipe, after which a run can be resumed
            raise KeyboardInterrupt

    folder = run_job(job, ["dcgan"], listen=interrupt, warn=lambda _: None).folder
    assert "sys/command" not in read_fields(folder)
    run(prepare_resume(tmp_path, "last", "cpu"))
    assert read_fields(folder).keys() >= read_fields(whole).keys()
    assert content(folder).keys() >= content(whole).keys()
    amend_fields(folder, {"sys/command": "as it was"})
    shutil.rmtree(folder / "checkpoints")
    run(prepare_resume(tmp_path, "last", "cpu"))
    assert read_fields(folder)["sys/command"] == "as it was"


def test_a_run_that_ends_before_the_clock_moves_has_a_result(
    interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcgan.jobs.run.time", SimpleNamespace(monotonic=lambda: 5.0))
    config = read_config(run_folders(interrupted)[0])
    result = run(prepare(config, "cpu", tmp_path, (), RunMetadata()), steps=1)
    assert (result.status, result.steps, result.images_per_second) == ("interrupted", 1, 0)


def test_a_clock_that_was_set_back_does_not_leave_a_remote_with_the_old_values(
    store: Path,
) -> None:
    (folder,) = run_folders(store)
    metrics = folder / "metrics.jsonl"
    ahead = now_ms() + 3_600_000
    metrics.write_text(re.sub(r'"time": ?\d+', f'"time": {ahead}', metrics.read_text()))
    send_run(folder, "mlflow")  # with the step after the checkpoint
    run(prepare_resume(store, "last", "cpu"), steps=1)
    send_run(folder, "mlflow")
    here, there = (
        load(store, folder.name).set_index("step")["training/batch/Gloss"][STEPS + 1]
        for load in (load_steps, load_backend("mlflow").load_steps)
    )
    assert here == there != 0.5
    times = load_steps(store, folder.name)["time"]
    assert times.is_monotonic_increasing


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_a_run_on_a_relative_folder_is_resumed_from_anywhere_and_after_a_move(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (*SMALL, "dataset.image_size=32", "training.epochs=9")
    settings += ("dataset.name=folder", "dataset.path=faces")
    config = load_config("celeba", [parse_override(text) for text in settings])
    store = tmp_path / "store"
    run(prepare(config, "cpu", store, (), RunMetadata()), steps=1)

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(prepare_resume(store, "last", "cpu"), steps=1).steps == 2
    faces.rename("moved")
    with pytest.raises(DataError, match="no such folder"):
        prepare_resume(store, "last", "cpu")
    assert run(prepare_resume(store, "last", "cpu", data=Path("moved")), steps=1).steps == 3
    (folder,) = run_folders(store)
    with pytest.raises(DataError, match="--data FOLDER"):
        next(evaluate_run(folder))
    assert next(evaluate_run(folder, data=Path("moved"), resamples=1)).step == 3
    (Path("moved") / "1.png").unlink()
    for use in (
        lambda: prepare_resume(store, "last", "cpu", data=Path("moved")),
        lambda: next(evaluate_run(folder, data=Path("moved"))),
    ):
        with pytest.raises(StoreError, match="are not those that the run"):
            use()


def test_held_out_images_in_a_relative_folder_are_found_from_anywhere(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (*SMALL, "evaluation.held_out=faces", "evaluation.every_epochs=1")
    config = load_config("digits", [parse_override(text) for text in settings])
    job = prepare(config, "cpu", tmp_path / "store", (), RunMetadata())
    assert job.held_out is not None
    assert job.config.evaluation.held_out == str(faces)


def test_what_to_do_about_a_damaged_checkpoint_is_told_and_works(store: Path) -> None:
    (folder,) = run_folders(store)
    run(prepare_resume(store, "last", "cpu"), steps=2)
    for earlier in (STEPS, 0):
        last = find_checkpoint(folder / "checkpoints")
        last.write_bytes(last.read_bytes()[:1000])
        expected = rf"cannot be read(.|\n)*Delete this file, .* continues after step {earlier}\."
        with pytest.raises(CheckpointError, match=expected):
            run(prepare_resume(store, "last", "cpu"))
        last.unlink()
        assert prepare_resume(store, "last", "cpu").first_step == earlier


def test_images_that_come_with_the_program_cannot_be_moved(store: Path) -> None:
    with pytest.raises(ConfigError, match="come with the program"):
        prepare_resume(store, "last", "cpu", data=Path("faces"))


def test_another_number_of_threads_is_told_of(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = run_folders(store)
    threads = read_fields(folder)["sys/threads"]
    assert threads == torch.get_num_threads()
    amend_fields(folder, {"sys/threads": threads + 1})
    said: list[str] = []
    job = prepare_resume(store, "last", "cpu")
    run_job(job, [], listen=lambda _: None, warn=said.append, stopping=lambda: True)
    assert f"was trained with {threads + 1} threads and continues with {threads}" in said[0]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    amend_fields(folder, {"sys/threads": 1})
    assert str(note_on_threads(job, folder)).startswith("This run was trained with 1 thread and")


def test_arithmetic_that_the_device_lacks_is_refused_before_anything_is_written(
    store: Path, tmp_path: Path
) -> None:
    config = load_config(
        "digits", [parse_override(text) for text in (*SMALL, "training.precision=tf32")]
    )
    with pytest.raises(ConfigError, match="only NVIDIA GPUs since Ampere"):
        prepare(config, "cpu", tmp_path / "new", (), RunMetadata())
    assert not (tmp_path / "new").exists()
    (folder,) = run_folders(store)
    recipe = folder / "artifacts" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('precision = "auto"', 'precision = "tf32"'))
    assert read_config(folder).training.precision == "tf32"
    before = content(folder)
    with pytest.raises(ConfigError, match="only NVIDIA GPUs since Ampere"):
        prepare_resume(store, "last", "cpu")
    assert content(folder) == before


def test_another_kind_of_device_is_told_of_and_the_run_goes_on(store: Path) -> None:
    (folder,) = run_folders(store)
    path = find_checkpoint(folder / "checkpoints")
    torch.save(as_saved_on_cuda(torch.load(path, weights_only=True)), path)
    said: list[str] = []
    job = prepare_resume(store, "last", "cpu")
    run_job(job, [], listen=lambda _: None, warn=said.append, stopping=lambda: True)
    assert "another kind of device than cpu, which cannot continue its random numbers" in said[0]
    assert read_fields(folder)["sys/status"] == "interrupted"
    assert last_values(folder)["step"] == STEPS + 1


def test_a_tracker_whose_package_is_gone_is_told_of_and_the_run_goes_on(store: Path) -> None:
    (folder,) = run_folders(store)
    amend_fields(folder, {"sys/trackers/gone": "complete"})
    job = prepare_resume(store, "last", "cpu")
    assert job.trackers == ("gone",)
    said: list[str] = []
    result = run_job(job, [], listen=lambda _: None, warn=said.append, stopping=lambda: True)
    assert said == [
        "Tracking to gone stopped: There is no tracker 'gone' here: its package is not installed. "
        "Training continues, and the local journal has everything."
    ]
    assert result.incomplete_trackers == ("gone",)
    assert read_fields(folder)["sys/status"] == "interrupted"
