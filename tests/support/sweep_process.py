"""Sweeps as a user starts them, and what they leave in the store."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from dcgan.cli import app
from tests.support import REPOSITORY
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


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """`dcgan sweep` as the leader of a process group, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "dcgan", "sweep", *arguments],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"},
        start_new_session=True,
    )


def finish(running: subprocess.Popen[str], code: int = 0) -> str:
    output, errors = running.communicate(timeout=400)
    assert running.returncode == code, output + errors
    return output


def refused(*arguments: str) -> str:
    """The error that the command ends with: on one screen, without a traceback."""
    result = CliRunner().invoke(app, ["sweep", *arguments], env={"COLUMNS": "120"})
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) <= 24
    return re.sub(r"[\s│]+", " ", result.output)


def runs_by_status(store: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for folder in run_folders(store):
        found.setdefault(str(read_fields(folder)["sys/status"]), []).append(folder)
    return found


def keys(folders: list[Path]) -> list[tuple[object, object]]:
    """Arm and seed of each run."""
    fields = [read_fields(folder) for folder in folders]
    return sorted((each["sys/sweep/arm"], each["sys/seed"]) for each in fields)


def wait_for_step(store: Path, step: int, running: subprocess.Popen[str], runs: int = 1) -> None:
    """Until so many runs have come so far."""
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
