"""A trainer that is killed at random moments, and resumed, until the run is done."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.support.forked import Command, dcgan_in_short_blocks, fork
from tracking.backends.local import load_steps, read_fields, run_folders

pytestmark = pytest.mark.slow

KILLS = 20
EPOCHS = 20
STEPS = 15  # per epoch
SETTINGS = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    f"training.epochs={EPOCHS}",
    "dataset.image_size=16",
    "training.batch_size=128",
    "images.every_steps=20",
    "images.count=4",
    "checkpoints.every_epochs=1",
)


def start(folder: Path, *arguments: str) -> Command:
    return fork(dcgan_in_short_blocks, *arguments, folder=folder, COLUMNS="200")


def train(folder: Path) -> Command:
    return start(folder, "train", *(part for each in SETTINGS for part in ("--set", each)))


def measured(run: Path) -> list[dict[str, float]]:
    """The lines of the journal; only the last may be torn, and all others parse."""
    return [json.loads(line) for line in lines_of(run)]


def lines_of(run: Path) -> list[bytes]:
    content = (run / "metrics.jsonl").read_bytes()
    return content[: content.rfind(b"\n") + 1].splitlines()


def test_a_run_that_is_killed_twenty_times_is_the_run_that_was_not(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    uninterrupted = train(tmp_path / "whole")
    assert uninterrupted.wait() == 0, uninterrupted.written()

    folder = tmp_path / "killed"
    store = folder / "runs"
    longest = seconds(tmp_path / "whole" / "runs") / KILLS
    moments = random.Random(0)
    kills = 0
    trainer = train(folder)
    while kills < KILLS:
        wait_for_progress(store, trainer)
        time.sleep(moments.uniform(0, longest))
        if has_finished(store):
            break
        trainer.kill()
        killed = time.time() * 1000
        assert trainer.wait() == -signal.SIGKILL
        kills += 1
        (run,) = run_folders(store)
        lines = [line for line in measured(run) if "training/batch/Gloss" in line]
        steps = [line["step"] for line in lines]
        assert steps == list(range(1, len(steps) + 1))
        # A block lasts at most a second, and on a busy machine one step more.
        assert killed - lines[-1]["time"] < 2_000
        assert read_fields(run)["sys/status"] == "killed"
        trainer = start(folder, "resume", "last")
    assert trainer.wait() == 0, trainer.written()
    assert kills >= KILLS // 2, "the run was too short for the machine"

    (run,), (reference,) = run_folders(store), run_folders(tmp_path / "whole" / "runs")
    ours, theirs = (
        load_steps(each.parent, each.name).filter(regex="^(step|training/)")
        for each in (run, reference)
    )
    assert list(ours["step"]) == list(range(1, EPOCHS * STEPS + 1))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    pictures = {path.relative_to(run): path.read_bytes() for path in run.glob("images/*/*.png")}
    assert pictures == {
        path.relative_to(reference): path.read_bytes() for path in reference.glob("images/*/*.png")
    }
    assert not list(run.rglob("*.tmp"))


def seconds(store: Path) -> float:
    """How long the only run took from its first step to its last, on this machine."""
    (run,) = run_folders(store)
    times = load_steps(store, run.name)["time"]
    return float((times.iloc[-1] - times.iloc[0]).total_seconds())


def wait_for_progress(store: Path, trainer: Command) -> None:
    """Until the process that runs now has measured a step, or the run is done."""
    began = time.time() * 1000
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for run in run_folders(store):
            lines = lines_of(run) if (run / "metrics.jsonl").exists() else []
            if (lines and json.loads(lines[-1])["time"] > began) or has_finished(store):
                return
        time.sleep(0.01)
    raise AssertionError(trainer.written())


def has_finished(store: Path) -> bool:
    return any(read_fields(run).get("sys/status") == "finished" for run in run_folders(store))
