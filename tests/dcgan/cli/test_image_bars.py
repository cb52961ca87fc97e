"""Every command that reads images shows how far that is, and the time left."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image
import pytest
from rich.console import Console
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.data.decoding import ImageFormat
from dcgan.data.image_set import Collection, DataError, ImageSet
from dcgan.data.progress import Progress
from tests.support.untrained_run import write_untrained_run

COMMANDS = [
    "train celeba --data FOLDER --store STORE",
    "resume faces-aaaaaa --epochs 1000 --store STORE",
    "sweep celeba --data FOLDER --over optimizer.lr=1e-4,2e-4 --seeds 1 --store STORE",
    "data FOLDER",
    "profile celeba --data FOLDER",
    "evaluate faces-aaaaaa --store STORE",
    "fid FOLDER faces-aaaaaa --store STORE",
    "probe features faces-aaaaaa --store STORE",
    "probe arithmetic faces-aaaaaa --store STORE",
    "probe neighbours faces-aaaaaa --store STORE",
]


@pytest.fixture
def arguments(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Of a command that ends with an error once half of the images are decoded."""

    def decode_half(
        collection: Collection, image_format: ImageFormat, max_unreadable: int, decoded: Progress
    ) -> ImageSet:
        collection.content()
        decoded(1, 2)
        raise DataError("That is far enough.")

    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("dcgan.data.loading.load_cached", decode_half)
    monkeypatch.setattr(
        "dcgan.evaluation.features.feature_space.inception_space", lambda *_: object()
    )
    folder, store = tmp_path / "faces", tmp_path / "runs"
    folder.mkdir()
    for number in range(2):
        PIL.Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    write_untrained_run(
        store,
        "faces-aaaaaa",
        "dataset.name=folder",
        f"dataset.path={folder}",
        recipe="celeba",
    )
    return request.param.replace("FOLDER", str(folder)).replace("STORE", str(store)).split()


def error_output(arguments: list[str], monkeypatch: pytest.MonkeyPatch, terminal: bool) -> str:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=terminal, width=100)
    for module in ("progress", "commands.probe"):
        monkeypatch.setattr(f"dcgan.cli.{module}.STDERR", console)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert "That is far enough." in result.output, result.output
    return drawn.getvalue()


@pytest.mark.parametrize("arguments", COMMANDS, indirect=True)
def test_a_terminal_gets_bars_and_the_time_left(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = error_output(arguments, monkeypatch, terminal=True)
    for text in ("reading", "2/2", "decoding", "1/2", "left"):
        assert text in drawn


@pytest.mark.parametrize(
    "arguments", ["probe neighbours faces-aaaaaa --store STORE"], indirect=True
)
def test_a_pipe_gets_nothing(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert error_output(arguments, monkeypatch, terminal=False) == ""
