"""Sweeps as a user starts them, and what they leave in the store."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import torch
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support.forked import Command, fork_command
from tests.support.refusal import error_of
from tracking.backends.local import read_fields, run_folders

TINY = [
    part
    for setting in (
        "network.generator_features=4",
        "network.discriminator_features=4",
        "images.count=4",
        "training.batch_size=128",
    )
    for part in ("--set", setting)
]


def start(*arguments: str, folder: Path) -> Command:
    """`dcgan sweep` as the leader of a process group, as a shell starts it."""
    return fork_command("sweep", *arguments, folder=folder, leader=True, COLUMNS="200")


def finish(running: Command, code: int = 0) -> str:
    output, errors = running.communicate(timeout=400)
    assert running.returncode == code, output + errors
    return output


def run(*arguments: str, folder: Path, code: int = 0) -> str:
    """The output of `dcgan sweep` in this process, all of whose sweeps share their workers."""
    threads = torch.get_num_threads()
    with contextlib.chdir(folder):
        result = CliRunner().invoke(app, ["sweep", *arguments], env={"COLUMNS": "200"})
    torch.set_num_threads(threads)
    assert result.exit_code == code, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    """The error that the command ends with: on one screen, without a traceback."""
    return error_of(CliRunner().invoke(app, ["sweep", *arguments], env={"COLUMNS": "120"}))


def runs_by_status(store: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for folder in run_folders(store):
        found.setdefault(str(read_fields(folder)["sys/status"]), []).append(folder)
    return found


def keys(folders: list[Path]) -> list[tuple[object, object]]:
    """Arm and seed of each run."""
    fields = [read_fields(folder) for folder in folders]
    return sorted((each["sys/sweep/arm"], each["sys/seed"]) for each in fields)


def wait_for_step(store: Path, step: int, running: Command, runs: int = 1) -> None:
    """Wait until `runs` runs have recorded `step` steps."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and running.poll() is None:
        far = [
            folder
            for folder in run_folders(store)
            if len((folder / "metrics.jsonl").read_bytes().splitlines()) > step
        ]
        if len(far) >= runs:
            return
        time.sleep(0.05)
    raise AssertionError(f"no step {step}: {running.communicate()}")
