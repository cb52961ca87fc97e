"""Sweeps on this machine: run by workers, stopped, killed, resumed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from typer.testing import CliRunner

import dcgan
from dcgan.cli import app
from dcgan.cli.commands.sweep import _health_of_arm
from dcgan.sweeping import local_workers
from dcgan.sweeping.worker import WorkItem, WorkResult, run_work_item
from tests.support.sample_journals import write_journal
from tests.support.sweep_process import (
    TINY,
    finish,
    keys,
    run,
    runs_by_status,
    start,
    wait_for_step,
)
from tracking.backends.local import read_fields, read_steps, run_folders
from tracking.backends.mlflow import DATABASE_FILE
from tracking.backends.mlflow.database import ensure_database
from tracking.errors import UserError
from tracking.events import RULES_THAT_HOLD

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a finished sweep of two arms and two seeds, and what it printed."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "rates.toml").write_text(
        'name = "rates"\nrecipe = "digits"\nseeds = [1, 4]\n[over]\n"optimizer.lr" = [1e-4, 1e-3]\n'
    )
    options = ("--epochs", "1", "--jobs", "2", "--tracker", "mlflow")
    ensure_database(folder / "runs" / DATABASE_FILE)
    return folder / "runs", run("rates.toml", *options, *TINY, folder=folder)


def test_every_run_says_what_it_is_part_of(tracked: tuple[Path, str]):
    store, _ = tracked
    folders = run_folders(store)
    arms = ("optimizer.lr=0.0001", "optimizer.lr=0.001")
    assert keys(folders) == sorted((arm, seed) for arm in arms for seed in (1, 4))
    fields = [read_fields(folder) for folder in folders]
    (identifier,) = {each["sys/sweep/id"] for each in fields}
    assert str(identifier).startswith("rates-")
    for each in fields:
        assert each["sys/status"] == "finished"
        assert each["sys/sweep/name"] == each["sys/group"] == "rates"
        assert each["sys/sweep/arm"] == f"optimizer.lr={each['config/optimizer/lr']}"
        value = str(each["sys/sweep/arm"]).partition("=")[2]
        assert each["sys/name"] == f"rates/{value}/seed-{each['sys/seed']}"


def test_runs_of_a_seed_pair_up_bit_for_bit_until_the_factor_tells(tracked: tuple[Path, str]):
    store, _ = tracked
    losses = {
        keys([folder])[0]: read_steps(folder)["training/batch/D_x"] for folder in run_folders(store)
    }
    low, high = "optimizer.lr=0.0001", "optimizer.lr=0.001"
    for seed in (1, 4):
        assert losses[low, seed][0] == losses[high, seed][0]
        assert losses[low, seed][3] != losses[high, seed][3]
    assert losses[low, 1][0] != losses[low, 4][0]


def test_a_sweep_ends_with_a_row_an_arm_and_how_to_compare_its_arms(
    tracked: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
):
    store, output = tracked
    (identifier,) = {read_fields(folder)["sys/sweep/id"] for folder in run_folders(store)}
    assert re.search(r"optimizer\.lr=0\.0001 +2/2 *\n", output), "losses are left to compare"
    for command in ("evaluate", "compare", "report"):
        assert f"dcgan {command} --sweep {identifier}" in output
    monkeypatch.chdir(store.parent)
    again = CliRunner().invoke(app, ["sweep", "rates.toml", "--epochs", "1", *TINY, "--resume"])
    assert again.exit_code == 0, again.output
    assert "4 runs, 0 left to train" in " ".join(again.output.split())
    assert len(run_folders(store)) == 4


def test_a_sweep_of_one_arm_says_first_that_it_compares_nothing(tmp_path: Path):
    output = run("digits", "--steps", "1", "--seeds", "2", "--jobs", "1", *TINY, folder=tmp_path)
    before, _, after = output.partition("Training 1 at a time")
    assert "One arm has nothing to be compared with" in before
    assert "--over optimizer.lr=2e-4,2e-3" in before
    assert re.search(r"digits +2/2", after), "the seeds of one arm can be trained"
    assert "dcgan compare" not in output, "it would end in an error"
    (identifier,) = {
        read_fields(folder)["sys/sweep/id"] for folder in run_folders(tmp_path / "runs")
    }
    assert f"dcgan report --sweep {identifier}" in after


def test_mlflow_has_one_parent_of_all_runs(tracked: tuple[Path, str]):
    from mlflow import MlflowClient

    from tracking.backends.mlflow import load_runs, tracking_uri

    store, _ = tracked
    client = MlflowClient(tracking_uri(store))
    experiment = client.get_experiment_by_name("dcgan").experiment_id
    found = client.search_runs([experiment])
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run is not parent]
    assert len(children) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert parent.info.run_name == "rates"
    assert parent.info.status == "FINISHED"
    assert sorted(load_runs(store).index) == [folder.name for folder in run_folders(store)]


def fail_with_one_image(work_item: WorkItem) -> WorkResult:
    """Train a run in a worker, but let the training of a run with a grid of one image fail."""
    if work_item.run.config.images.count > 1:
        return run_work_item(work_item)
    with patch("dcgan.jobs.run.train", side_effect=RuntimeError("a fault of this test")):
        return run_work_item(work_item)


def test_a_run_that_fails_fails_alone_and_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(local_workers, "run_work_item", fail_with_one_image)
    output = run(
        "digits", "--over", "images.count=4,1", "--seeds", "2", "--steps", "3",
        *TINY[:4], "--batch-size", "16", "--jobs", "2", folder=tmp_path, code=1,
    )  # fmt: skip
    store = tmp_path / "runs"
    before = runs_by_status(store)
    assert keys(before["finished"]) == [("images.count=4", 0), ("images.count=4", 1)]
    assert keys(before["failed"]) == [("images.count=1", 0), ("images.count=1", 1)]
    assert re.search(r"images\.count=4 +2/2", output)
    assert re.search(r"images\.count=1 +0/2 +2", output)
    assert "RuntimeError: a fault of this test" in output
    again = run("digits", "--resume", "--jobs", "2", folder=tmp_path, code=1)
    assert "4 runs, 2 left to train" in again
    after = runs_by_status(store)
    assert after["finished"] == before["finished"]
    assert keys(after["failed"]) == sorted(keys(before["failed"]) * 2)


EPOCHS = 5  # on a busy machine one worker may begin an epoch or two before the other
SLOW = (
    "--over", "optimizer.lr=2e-4,2e-3", "--seeds", "2",
    *TINY[:-1], "training.batch_size=32", "--epochs", str(EPOCHS),
)  # fmt: skip


def assert_whole_without_duplicates(store: Path) -> None:
    """One finished run an arm and seed, with each of its steps once."""
    found = runs_by_status(store)
    assert list(found) == ["finished"]
    arms = ("optimizer.lr=0.0002", "optimizer.lr=0.002")
    assert keys(found["finished"]) == sorted((arm, seed) for arm in arms for seed in (0, 1))
    for folder in found["finished"]:
        lines = [
            json.loads(line)["step"]
            for line in (folder / "metrics.jsonl").read_text().splitlines()
            if "training/batch/Gloss" in line
        ]
        assert lines == list(range(1, EPOCHS * 57 + 1))


def test_a_sweep_that_is_killed_goes_on_without_duplicates(tmp_path: Path):
    store = tmp_path / "runs"
    running = start("digits", *SLOW, "--jobs", "2", folder=tmp_path)
    wait_for_step(store, 57, running, runs=2)
    running.kill()
    running.communicate()
    output = run("digits", *SLOW, "--jobs", "2", "--resume", folder=tmp_path)
    # On a busy machine a worker may have finished a run before the other began its own.
    assert re.search(r"4 runs, [2-4] left to train", output)
    assert_whole_without_duplicates(store)


def kill_a_worker(store: Path, over: threading.Event) -> None:
    """Kill the process of a run that has begun to train, as the system does for want of memory."""

    def trains(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            files = [Path(file.path) for file in process.open_files()]
            return any(
                file.name == "metrics.jsonl" and file.is_relative_to(store) and file.stat().st_size
                for file in files
            )
        return False

    while not over.wait(0.002):
        for process in filter(trains, psutil.Process().children()):
            process.kill()
            return


def test_a_worker_that_is_killed_ends_its_own_run_alone(tmp_path: Path):
    store = tmp_path / "runs"
    options = ("--over", "optimizer.lr=2e-4", "--seeds", "3", "--jobs", "2", *TINY)
    over = threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(store, over))
    killer.start()
    try:
        output = run("digits", *options, "--epochs", "8", folder=tmp_path, code=1)
    finally:
        over.set()
        killer.join()
    before = runs_by_status(store)
    assert {status: len(folders) for status, folders in before.items()} == {
        "finished": 2,
        "killed": 1,
    }
    [(_, seed)] = keys(before["killed"])
    assert f"optimizer.lr=0.0002 seed {seed}: its process died, by SIGKILL(-9)" in output
    assert "Continue this run with the same command and --resume" in output
    run("digits", "--resume", "--jobs", "2", folder=tmp_path)
    assert keys(runs_by_status(store)["finished"]) == [
        ("optimizer.lr=0.0002", seed) for seed in range(3)
    ]


def test_the_rules_that_end_runs_early_are_in_the_command_that_finishes_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("dcgan.sweeping.session.run_work_items", lambda *_: ([], False))
    rules = ("--stop-when", "collapsed,diverged")
    output = run("digits", "--seeds", "1", *rules, folder=tmp_path, code=130)
    assert re.search(
        r"dcgan sweep digits-\w+ --resume --stop-when collapsed,diverged$", output, re.M
    )
    with pytest.raises(UserError):  # no run has begun
        dcgan.sweep("digits", seeds=1, stop_when="diverged", store=tmp_path)
    assert 'resume=True, stop_when="diverged", store=' in capsys.readouterr().err


def test_ctrl_c_lets_every_run_write_a_checkpoint(tmp_path: Path):
    store = tmp_path / "runs"
    running = start("digits", *SLOW, "--jobs", "2", folder=tmp_path)
    wait_for_step(store, 57, running, runs=2)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    output = finish(running, code=130)
    resumption = re.search(r"dcgan sweep (digits-\w+) --resume", output)
    assert resumption
    stopped = runs_by_status(store)
    assert set(stopped) <= {"interrupted", "finished"}
    assert 1 <= len(stopped["interrupted"]) <= 2  # those that waited have not begun
    for folder in stopped["interrupted"]:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        if not lines:
            continue  # the machine was so busy that it had just begun
        last = json.loads(lines[-1])["step"]
        assert (folder / f"checkpoints/step-{last:08d}.pt").exists()
    run("digits", "--resume", "--jobs", "2", folder=tmp_path)
    assert_whole_without_duplicates(store)


def test_an_arm_ends_with_the_health_of_its_runs(tmp_path: Path):
    held = ([], ["collapsed", "discriminator_won"], ["collapsed"], ["a rule of another version"])
    folders = [
        write_journal(tmp_path, f"run-{seed}", seed=seed, fields={RULES_THAT_HOLD: rules})
        for seed, rules in enumerate(held)
    ]
    assert _health_of_arm(folders) == (
        "in 2 of 4 runs a health rule holds: collapsed (2), discriminator won (1)"
    )
    assert _health_of_arm(folders[:1]) == ""
