"""A store that becomes read-only, or a disk that is full for good, in the middle of a command."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tests.dcgan.conftest import SMALL
from tests.support.failing_disk import FailingDisk
from tests.support.untrained_run import write_untrained_run
from tracking.backends import local

FAILURES = pytest.mark.parametrize(
    "number", [errno.EROFS, errno.ENOSPC], ids=[errno.errorcode[n] for n in (30, 28)]
)


def dcgan(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "120"})


def said(result: Result) -> str:
    return re.sub(r"[\s│]+", " ", result.output)


def contents(store: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}


@FAILURES
def test_a_training_says_how_much_is_lost_and_is_resumed_later(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    chosen = [each for each in SMALL if not each.startswith("training.epochs")]
    settings = [part for each in chosen for part in ("--set", each)]
    with monkeypatch.context() as patch:
        disk = FailingDisk(store, number, patch)
        disk.fail_after("00000003.png")
        result = dcgan("train", "digits", *settings, "--steps", "7", "--store", str(store))
        too_early = dcgan("resume", "last", "--store", str(store))
    for refused in (result, too_early):
        assert refused.exit_code == 2, (refused.output, refused.exception)
        assert "Traceback" not in refused.output
        assert os.strerror(number) in said(refused)
    assert "finished" not in result.output
    (folder,) = local.run_folders(store)
    kept = int(local.last_values(folder).get("step", 0))
    for part in (
        f"The run {folder.name} was trained to step 7, but not all of it is kept",
        f"Its journal ends at step {kept}: OSError: [Errno {number}]",
        "The checkpoint of step 7 is missing, there is none",
        "dcgan resume trains the missing steps again",
    ):
        assert part in said(result)
    assert kept < 7
    assert local.read_fields(folder)["sys/status"] == "killed"

    assert dcgan("resume", "last", "--store", str(store)).exit_code == 0
    assert list(local.read_steps(folder)["step"]) == [1, 2, 3, 4, 5, 6, 7]
    assert local.read_fields(folder)["sys/status"] == "finished"


@pytest.mark.parametrize(
    "arguments",
    [
        ("tag", "last", "x"),
        ("rename", "last", "x"),
        ("delete", "last"),
        ("sync", "last", "--to", "tensorboard"),
        ("sample", "last", "-o", "STORE/e/g.npz"),
        ("animate", "last", "-o", "STORE/a.gif"),
        ("plot", "last"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_says_that_it_cannot_write_and_changes_nothing(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    write_untrained_run(store, "digits-aaaaaa")
    before = contents(store)
    with monkeypatch.context() as patch:
        FailingDisk(store, errno.EROFS, patch).is_failing = True
        filled = [each.replace("STORE", str(store)) for each in arguments]
        result = dcgan(*filled, "--store", str(store))
    assert result.exit_code == 2, (result.output, result.exception)
    assert "Traceback" not in result.output
    assert "Read-only file system" in said(result)
    assert contents(store) == before
