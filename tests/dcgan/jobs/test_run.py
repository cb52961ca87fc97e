"""Tracked runs as processes: killed, interrupted, resumed, failing."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from dcgan.training.checkpoint import list_checkpoints, load_checkpoint
from tests.support.forked import Command, dcgan_in_short_blocks, fork
from tracking.backends.local import load_runs, load_steps, read_fields, run_folders

pytestmark = pytest.mark.slow

SETTINGS = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    "dataset.image_size=16",
    "training.epochs=4",
    "images.every_steps=20",
    "images.count=16",
)


def dcgan(*arguments: str, folder: Path) -> Command:
    return fork(dcgan_in_short_blocks, *arguments, folder=folder, COLUMNS="120")


def training(*more: str) -> list[str]:
    return ["train", *(part for setting in SETTINGS for part in ("--set", setting)), *more]


def start_training(folder: Path, *more: str) -> Command:
    return dcgan(*training(*more), folder=folder)


def wait_for_step(store: Path, step: int, process: Command) -> Path:
    """Wait until the run's journal has reached a step; return the run's folder."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        for folder in run_folders(store):
            lines = (folder / "metrics.jsonl").read_bytes().splitlines()
            if len(lines) > 1 and json.loads(lines[-2])["step"] >= step:
                return folder
        time.sleep(0.01)
    raise AssertionError(f"no step {step}: {process.communicate()}")


def finish(process: Command, code: int = 0) -> str:
    output, errors = process.communicate(timeout=200)
    assert process.returncode == code, output + errors
    return output


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start_training(folder))
    (run,) = run_folders(folder / "runs")
    return run


def training_lines(run: Path) -> list[str]:
    """The lines of the journal that are not samples of how busy the machine was."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [line for line in lines if '"training/' in line]


def assert_same_run(run: Path, whole: Path) -> None:
    """The same metrics at the same steps, the same pictures, the same weights, bit for bit."""
    ours, theirs = (
        load_steps(each.parent, each.name).filter(regex="^(step|training/)")
        for each in (run, whole)
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert len(training_lines(run)) == len(training_lines(whole))
    pictures = {path.relative_to(run): path.read_bytes() for path in run.glob("images/*/*.png")}
    for path in whole.glob("images/*/*.png"):
        assert pictures[path.relative_to(whole)] == path.read_bytes()
    assert len(pictures) == len(list(whole.glob("images/*/*.png")))
    ours, theirs = (
        load_checkpoint(list_checkpoints(each / "checkpoints")[-1]) for each in (run, whole)
    )
    assert ours["step"] == theirs["step"] == 4 * 57
    for network in ("generator", "discriminator"):
        for name, value in theirs[network].items():
            assert torch.equal(ours[network][name], value), name


@pytest.mark.parametrize("step", [20, 80, 150])
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, whole: Path, step: int):
    process = start_training(tmp_path)
    run = wait_for_step(tmp_path / "runs", step, process)
    process.kill()
    process.wait()
    assert read_fields(run)["sys/status"] == "killed"
    finish(dcgan("resume", "last", folder=tmp_path))
    assert load_runs(tmp_path / "runs").loc[run.name, "sys/status"] == "finished"
    assert_same_run(run, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_a_checkpoint_and_says_how_to_resume(
    tmp_path: Path, whole: Path, number: signal.Signals
):
    process = start_training(tmp_path)
    run = wait_for_step(tmp_path / "runs", 70, process)
    process.send_signal(number)
    output = finish(process, code=130)
    assert f"dcgan resume {run.name}" in output
    assert read_fields(run)["sys/status"] == "interrupted"
    done = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert list_checkpoints(run / "checkpoints")[-1].name == f"step-{done:08d}.pt"
    finish(dcgan("resume", run.name, folder=tmp_path))
    assert_same_run(run, whole)


def test_a_run_that_is_being_written_cannot_be_resumed_beside_it(tmp_path: Path):
    process = start_training(tmp_path, "--epochs", "1000000")
    try:
        wait_for_step(tmp_path / "runs", 10, process)
        second = dcgan("resume", "last", folder=tmp_path)
        _, errors = second.communicate(timeout=100)
        assert second.returncode == 2
        assert "being written by another process" in re.sub(r"[\s│]+", " ", errors)
    finally:
        process.kill()
        process.communicate()


def test_a_run_that_cannot_go_on_says_why(tmp_path: Path, whole: Path):
    second = dcgan("resume", "last", "--store", str(whole.parent), folder=tmp_path)
    _, errors = second.communicate(timeout=100)
    assert second.returncode == 2
    assert "has finished" in errors
    assert "Traceback" not in errors
