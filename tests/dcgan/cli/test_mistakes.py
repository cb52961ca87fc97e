"""What a user mistypes, or may not write, is told with what would be right."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import filelock
import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.training.checkpoint import CheckpointError, find_checkpoint
from tests.support.sample_journals import write_journal
from tracking.errors import not_written


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A run without checkpoints."""
    write_journal(tmp_path / "s", "digits-run000", seed=0)
    return tmp_path / "s"


def refused(*arguments: str) -> str:
    """What a command says that ends with an error, in one line."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return re.sub(r"[\s│]+", " ", result.output)


def test_a_mistyped_store_is_no_empty_store(tmp_path: Path) -> None:
    absent = str(tmp_path / "rnus")
    for command in (["runs"], ["runs", "--json"], ["du"], ["show", "last"]):
        told = refused(*command, "--store", absent)
        assert f"no runs in {absent}, which does not exist." in told
        assert f"dcgan train --store {absent}" in told
    assert not Path(absent).exists()
    empty = CliRunner().invoke(app, ["runs", "--store", str(tmp_path)])
    assert empty.exit_code == 0
    assert "which does not exist" not in empty.output


def test_a_command_that_every_process_would_repeat(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for command in ("sweep", "evaluate", "runs"):
        told = refused(command, "--store", str(store))
        assert f"dcgan {command} would run once in each process of torchrun." in told
    assert [each.name for each in store.iterdir()] == ["digits-run000"]


def test_why_something_was_not_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, number, reason in (
        (Path("/proc/none/x.png"), errno.ENOENT, "no folder can be made in /proc"),
        (tmp_path / "file" / "x.png", errno.EEXIST, f"{tmp_path}/file is not a folder"),
        (tmp_path / "x.png", errno.EROFS, "Read-only file system"),
    ):
        error = OSError(number, os.strerror(number), f"{path}.tmp")
        assert str(not_written(path, error)) == (
            f"{path} cannot be written: {reason}.\nChoose another place with -o."
        )


def test_a_read_only_run_is_told_of_before_the_work(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode, **__: not mode & os.W_OK)
    assert "plots cannot be written: there is no permission. Choose another folder with -o" in (
        refused("plot", "last", "--store", str(store))
    )
    told = refused("evaluate", "last", "--store", str(store))
    assert "digits-run000 cannot be written to: there is no permission" in told


def test_a_read_only_run_is_not_changed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(lock: filelock.FileLock) -> None:
        raise OSError(errno.EROFS, "Read-only file system", lock.lock_file)

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    told = refused("tag", "last", "x", "--store", str(store))
    assert "The run digits-run000 cannot be written to: Read-only file system" in told
    assert "Copy its store to a folder of your own" in told


def test_a_file_of_another_kind_is_told_from_a_missing_run(store: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("hello world\n")
    told = refused("train", "--from", str(text), "--store", str(store))
    assert (
        "is neither a run nor a file of weights, whose name ends in .pth, .pt or .safetensors"
        in told
    )
    (tmp_path / "images").mkdir()
    text.rename(tmp_path / "images" / "text.jpg")
    folder = str(tmp_path / "images")
    told = refused("data", folder)
    assert f"No image in {folder} can be read, of 1 file. The first is text.jpg: cannot id" in told
    told = refused("import", folder, "--from", "local", "--store", str(store))
    assert "Name the folder that holds them, or choose another kind with --from" in told


def test_a_run_without_checkpoints_is_told_from_a_missing_one(store: Path) -> None:
    with pytest.raises(CheckpointError, match=r"of the run digits-run000(?s:.*)train it again"):
        find_checkpoint(store / "digits-run000" / "checkpoints")


def test_checks_whose_names_have_commas_are_listed_apart() -> None:
    assert "graph, all stabilisers; graph, wgan_gp; torch.compile;" in refused(
        "selftest", "--only", "x"
    )


def test_values_are_shown_as_they_are_set(store: Path) -> None:
    shown = CliRunner().invoke(app, ["show", "last", "--store", str(store)]).output
    assert "True" not in shown
    assert "['" not in shown


def test_every_rule_has_a_line_of_its_own_with_its_source() -> None:
    lines = CliRunner().invoke(app, ["diagnose", "--rules"]).output.splitlines()
    assert "discriminator_won: D has won. A run that ends with it counts as collapsed." in lines
    assert "  Source: Arjovsky and Bottou 2017, section 2." in lines


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("train", "--data", ""), "The value after '--data' is empty."),
        (("train", "--store="), "The value of '--store' is empty."),
        (("fid", "", "mnist"), "The value after 'fid' is empty."),
        (("runs", "--where", ""), "The value after '--where' is empty."),
    ],
)
def test_a_variable_of_the_shell_that_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], named: str
) -> None:
    """An empty path would be the working directory."""
    monkeypatch.chdir(tmp_path)
    assert f"{named} Is a variable of the shell not set?" in refused(*arguments)
    assert not list(tmp_path.iterdir())
