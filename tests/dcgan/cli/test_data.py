"""`dcgan data`: what a training would be given."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from dcgan.cli import app
from dcgan.cli.commands import data
from diagnosis.image_grids import split_grid

COLOURS = {"blue": (0, 0, 255), "red": (255, 0, 0)}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", *arguments], env={"COLUMNS": "100"})


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four red and six blue pictures, two of these the same, one animated, and a broken one."""
    folder = tmp_path / "two colours"
    for number in range(10):
        name = "red" if number < 4 else "blue"
        (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((20 + number, 40, 3), np.uint8)
        pixels[:] = COLOURS[name]
        pixels[:, :, 1] = 20 * min(number, 8)
        PIL.Image.fromarray(pixels).save(folder / name / f"{number}.png")
    frames = [PIL.Image.new("RGB", (30, 30), colour) for colour in ("blue", "red")]
    frames[0].save(folder / "blue" / "moving.gif", save_all=True, append_images=frames[1:])
    (folder / "blue" / "broken.jpg").write_bytes(b"no image")
    return folder


def test_what_is_shown_of_a_folder(folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    result = invoke(str(folder), "--size", "48x16", "-n", "4", "-o", str(sheet))
    assert result.exit_code == 0, result.output
    said = re.sub(r"\s+", " ", result.output)
    assert "images 11 of 48x16, RGB" in said
    assert "widths 30 to 40 (median 40)" in said
    assert "heights 20 to 30 (median 25)" in said
    assert "files PNG RGB 10, GIF palette 1" in said
    assert "classes 2: blue 7, red 4" in said
    assert "duplicates 1" in said
    assert "pages 1 file with several, of which the first is taken" in said
    assert "unreadable 1 blue/broken.jpg: cannot identify image file" in said
    assert "--set dataset.max_unreadable=1" in said
    assert "1 image of 11 have the same pixels" in said
    with PIL.Image.open(sheet) as picture:
        images = split_grid(np.asarray(picture), (16, 48), 4)
    assert {tuple(pixel) for pixel in images[:, 0, 0, ::2].tolist()} == {(0, 255), (255, 0)}
    assert (images == images[:, :1, :1]).all(), "each image is of one colour"


def test_json_is_what_the_training_would_record(folder: Path) -> None:
    tree = json.loads(invoke(str(folder), "--recipe", "digits", "--json").output)
    assert tree["images"] == 11
    assert tree["image_size"] == [32, 32]
    assert tree["channels"] == 1
    assert tree["classes"] == {"blue": 7, "red": 4}
    assert tree["widths"] == {"30": 1, "40": 10}
    assert tree["unreadable"] == 1
    assert tree["bytes"] == 11 * 32 * 32
    assert len(tree["mean"]) == len(tree["std"]) == 1
    assert tree["fingerprint"].startswith("sha256:")


def test_files_that_are_left_out_are_counted_and_pictures_among_them_warned_of(
    folder: Path, tmp_path: Path
) -> None:
    complete = json.loads(invoke(str(folder), "--json").output)
    for number in range(41):
        (folder / "red" / f"IMG_{number}.HEIC").write_bytes(b"a picture of a phone")
    (folder / "red" / "IMG_1.MOV").touch()
    (folder / "red" / "raw.dng").touch()
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    for path in (str(folder), packed):
        said = re.sub(r"\s+", " ", invoke(path).output)
        assert "not images 41 .heic, 1 .dng, 1 .mov" in said
        assert (
            "41 .heic files are left out: Pillow cannot read them. Convert them to JPEG, for "
            "example with heif-convert. 1 .dng file is left out: Pillow cannot read it. Convert it "
            "to JPEG."
        ) in said
    tree = json.loads(invoke(str(folder), "--json").output)
    assert tree["not_images"] == {".heic": 41, ".mov": 1, ".dng": 1}
    assert complete["not_images"] == {}
    assert tree["fingerprint"] == complete["fingerprint"]


def test_a_recipe_alone_shows_its_own_set() -> None:
    tree = json.loads(invoke("--recipe", "digits", "--json").output)
    assert tree["images"] == 1_797
    assert tree["kinds"] == {}
    assert tree["duplicates"] == 0


def test_a_terminal_with_colours_gets_a_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = io.StringIO()

    def console(**_: object) -> Console:
        return Console(file=drawn, force_terminal=True, color_system="truecolor", width=80)

    monkeypatch.setattr(data, "Console", console)
    assert invoke(str(folder), "--size", "32").exit_code == 0
    assert "\N{UPPER HALF BLOCK}" in drawn.getvalue()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give a PATH, or a recipe"),
        (("/nowhere",), "there is no such folder or file"),
        ((".", "--size", "big"), "Write 64, or width and height: 96x64"),
        ((".", "--size", "65"), "a multiple of 16 from 16 to 512"),
        ((".", "--size", "96x50"), "as width x height: 96x64"),
        ((".", "-o", "sheet.doc"), "choose .png"),
        ((".", "--set", "dataset.background=nothing"), "a colour such as white"),
    ],
)
def test_what_is_wrong_is_told_in_one_screen(arguments: tuple[str, ...], said: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert said in re.sub(r"[\s│]+", " ", result.output)
    assert "Traceback" not in result.output
