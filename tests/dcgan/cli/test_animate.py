"""`dcgan animate`, as a user meets it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import PIL.Image
import pytest
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tests.support.refusal import error_of
from tests.support.untrained_run import write_untrained_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("animate") / "runs"
    write_untrained_run(folder, "digits-aaaaaa")
    return folder


def animate(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["animate", "last", "--store", str(store), *arguments], env={"COLUMNS": "160"}
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "a.webp"], "a.webp: 2 frames, 2.1 s"),
        ([], "training.gif: 2 frames"),
        (["--walk", "3,7", "--frames", "4", "--fps", "10"], "walk.gif: 8 frames, 0.8 s"),
    ],
)
def test_a_training_and_a_walk_are_animated(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = animate(store, *arguments)
    assert result.exit_code == 0, result.output
    assert said in result.output
    (file,) = tmp_path.iterdir()
    with PIL.Image.open(file) as picture:
        assert picture.n_frames == int(said.split()[1])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "a.avi"], "choose .gif, .webp, .mp4"),
        (["-o", "a"], "choose .gif, .webp, .mp4"),
        (["-o", "/dev/null/a.gif"], "/dev/null is not a folder"),
        (["--frames", "1"], "'--frames'"),
        (["--walk", "3,3"], "each seed once"),
        (["--walk", ","], "seeds are whole numbers"),
        (["--walk", ""], "The value after '--walk' is empty"),
        (["--walk", "3,7", "--checkpoint", "first"], "is not a step"),
        (["--checkpoint", "40"], "--checkpoint applies to a walk only"),
        (["--weights", "current"], "--weights applies to a walk only"),
        (["--walk", "3"], "a walk needs two seeds"),
        (["--walk", "3;7"], "--walk 3,7"),
        (["--walk", "0-200"], "more than 3,000 frames"),
        (["--walk", "1,2", "--weights", "ema"], "no moving average"),
        (["--walk", "1,2", "--checkpoint", "3"], "no checkpoint of step 3"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = animate(store, *arguments)
    assert said in error_of(result)
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_one_grid_does_not_move(tmp_path: Path) -> None:
    folder = write_untrained_run(tmp_path / "runs", "digits-bbbbbb")
    min((folder / "images" / "fixed_noise").iterdir()).unlink()
    result = animate(tmp_path / "runs", "-o", str(tmp_path / "a.gif"))
    assert result.exit_code == 2
    assert "has 1 grid in images/fixed_noise" in re.sub(r"[\s│]+", " ", result.output)
    assert not (tmp_path / "a.gif").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "has 0 grids in images/fixed_noise"),
        (["--walk", "3,7"], "There is no checkpoint"),
    ],
)
def test_a_run_without_grids_or_checkpoints_is_told_of(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    folder = write_untrained_run(tmp_path / "runs", "digits-bbbbbb")
    shutil.rmtree(folder / "images")
    shutil.rmtree(folder / "checkpoints")
    result = animate(tmp_path / "runs", "-o", str(tmp_path / "new" / "a.gif"), *arguments)
    assert said in error_of(result)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["animate", "export"])
def test_a_store_or_a_run_that_is_not_there_is_told_of(
    command: str, store: Path, tmp_path: Path
) -> None:
    for place, run, said in (
        (tmp_path / "none", "last", "There are no runs in"),
        (store, "other", "other"),
    ):
        result = CliRunner().invoke(app, [command, run, "--store", str(place)])
        assert said in error_of(result)
