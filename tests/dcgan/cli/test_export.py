"""`dcgan export`, as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tests.support.refusal import error_of
from tests.support.untrained_run import write_untrained_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "runs"
    write_untrained_run(folder, "digits-aaaaaa")
    return folder


def export(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["export", "last", "--store", str(store), *arguments], env={"COLUMNS": "160"}
    )


def test_it_says_what_is_written_and_how_it_was_checked(store: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="safetensors, of the extra export, is not installed")
    result = export(store, "-o", str(tmp_path / "e" / "g.safetensors"))
    assert result.exit_code == 0, result.output
    for part in (
        "the generator of digits-aaaaaa at step 40",
        "latents  float32 (batch, 6, 1, 1)",
        "(images + 1) * 127.5",
        "Largest difference from PyTorch: 0 (safetensors",
        f"Model card: {tmp_path / 'e' / 'README.md'}, {tmp_path / 'e' / 'samples.png'}",
    ):
        assert part in result.output
    assert len(list((tmp_path / "e").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "g.pth"], "choose .onnx, .safetensors, .pt2"),
        (["-o", "g"], "choose .onnx, .safetensors, .pt2"),
        (["-o", "/dev/null/g.pt2"], "/dev/null is not a folder"),
        (["-o", "g.pt2", "--checkpoint", "first"], "is not a step"),
        (["-o", "g.pt2", "--checkpoint", "3"], "no checkpoint of step 3"),
        (["-o", "g.pt2", "--weights", "ema"], "no moving average"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = export(store, *arguments)
    assert said in error_of(result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["export", "sample"])
def test_a_run_without_a_checkpoint_or_with_that_of_another_network_is_refused(
    command: str, tmp_path: Path
) -> None:
    folder = write_untrained_run(tmp_path / "runs", "digits-bbbbbb")
    (checkpoint,) = (folder / "checkpoints").iterdir()
    state = torch.load(checkpoint, weights_only=True)
    state["generator"]["0.weight"] = torch.zeros(2, 2)
    torch.save(state, checkpoint)
    output = str(tmp_path / "new" / ("g.pt2" if command == "export" else "g.npz"))
    arguments = [command, "last", "--store", str(tmp_path / "runs"), "-o", output]
    for said in ("does not fit this run's networks", "There is no checkpoint"):
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
        assert said in error_of(result)
        assert not (tmp_path / "new").exists()
        checkpoint.unlink(missing_ok=True)
