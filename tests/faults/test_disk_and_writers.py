"""Many runs in one store at once, a full disk, a store that cannot be written to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pandas.testing import assert_frame_equal

from tests.support import REPOSITORY, SUPPORT
from tests.support.concurrent_writers import STEPS
from tests.support.forked import Command, fork_command
from tests.support.waiting import wait_until
from tracking.backends import load_backend, local
from tracking.backends.local import read_fields, read_steps, run_folders
from tracking.backends.mlflow import DATABASE_FILE
from tracking.backends.mlflow.database import ensure_database
from tracking.events import TRACKERS
from tracking.transfer import send_run

pytestmark = pytest.mark.slow

SMALL = ("network.generator_features=4", "network.discriminator_features=4", "images.count=4")


@pytest.mark.parametrize("count", [2, 20])
def test_runs_that_write_to_one_store_at_once(count: int, tmp_path: Path) -> None:
    store = tmp_path / "store"
    ensure_database(store / DATABASE_FILE)
    script = SUPPORT / "concurrent_writers.py"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    warnings = subprocess.run(
        [sys.executable, script, store, str(count)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    ).stderr
    folders = run_folders(store)
    assert len(folders) == count
    assert warnings.count("Tracking to mlflow stopped") <= count  # at most once per run
    backend = load_backend("mlflow")
    for folder in folders:
        number = read_fields(folder)["config/seed"]
        steps = read_steps(folder)
        expected = [number + 1 / step for step in range(1, STEPS + 1)]
        assert list(steps["training/batch/Gloss"]) == expected
        if read_fields(folder)[f"{TRACKERS}/mlflow"] != "complete":
            send_run(folder, "mlflow")
        assert_frame_equal(backend.load_steps(store, folder.name), steps)
    assert len(backend.load_runs(store)) == count


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own in memory; the test is skipped if none can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def train(store: Path, *settings: str) -> Command:
    """Start a training in the folder that holds the disk."""
    chosen = [part for setting in (*SMALL, *settings) for part in ("--set", setting)]
    arguments = ("train", "--store", str(store), *chosen)
    return fork_command(*arguments, folder=store.parents[1], COLUMNS="120")


def end(process: Command, timeout: float) -> str:
    """All that it has written once it has ended."""
    return "".join(process.communicate(timeout))


def fill(disk: Path) -> Path:
    """Take all the room that there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def steps_done(store: Path) -> int:
    for folder in run_folders(store):
        return local.last_values(folder).get("step", 0)
    return 0


def wait_for_step(store: Path, step: int, process: Command) -> None:
    deadline = time.monotonic() + 300
    while steps_done(store) < step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=48m") as disk:
        store = disk / "runs"
        settings = ("training.epochs=15", "images.every_steps=100", "checkpoints.every_epochs=5")
        process = train(store, *settings)
        wait_for_step(store, 300, process)
        ballast = fill(disk)
        wait_until(lambda: "The local journal cannot be written" in "".join(process.written()))
        time.sleep(0.5)
        assert process.poll() is None, process.communicate()
        ballast.unlink()
        output = end(process, timeout=250)
        assert process.returncode == 0, output
        assert "Traceback" not in output
        assert output.count("The local journal cannot be written") == 1
        assert output.count("cannot be written: [Errno 28]") <= 2  # the journal and a checkpoint
        (run,) = run_folders(store)
        steps = read_steps(run)
        assert list(steps["step"]) == list(range(1, 856))
        assert steps["training/batch/Gloss"].notna().all()
        assert read_fields(run)["sys/status"] == "finished"
        for number in range(100, 856, 100):
            file = run / f"images/fixed_noise/{number:08d}.png"
            assert np.asarray(PIL.Image.open(file)).size
        assert not list(run.rglob("*.tmp"))


def test_a_store_on_a_read_only_disk_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m,ro") as disk:
        process = train(disk / "runs")
        output = end(process, timeout=120)
        assert process.returncode == 2
        assert "Traceback" not in output
        assert "Read-only file system" in " ".join(output.replace("│", " ").split())
        assert "--store" in output


def test_a_journal_that_was_torn_by_a_full_disk_parses(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=48m") as disk:
        store = disk / "runs"
        process = train(store, "training.epochs=400", "images.every_steps=100000")
        wait_for_step(store, 300, process)
        fill(disk)
        time.sleep(1)
        process.kill()
        process.communicate()
        (run,) = run_folders(store)
        content = (run / "metrics.jsonl").read_bytes()
        complete_lines = content[: content.rfind(b"\n") + 1].splitlines()
        steps = [json.loads(line)["step"] for line in complete_lines if b'"training/batch/' in line]
        assert steps == list(range(1, len(steps) + 1))
