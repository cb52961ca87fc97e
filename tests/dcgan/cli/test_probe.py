"""`dcgan probe`, on a run that trained for a moment."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from typer.testing import CliRunner, Result

from analysis.plots.probes import class_shift, label_efficiency, mosaic_figure
from dcgan.cli import app
from tests.dcgan.cli.test_evaluate import TINY
from tracking.backends.local import last_values, read_fields, read_steps, run_folders
from tracking.lock import locked


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})


def said(result: Result) -> str:
    return re.sub(r"[\s│]+", " ", result.output)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    result = invoke("train", "digits", *TINY, "--store", str(folder))
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def digits(store: Path) -> Path:
    (folder,) = run_folders(store)
    return folder


@pytest.mark.parametrize("name", ["interpolate", "filters", "neighbours"])
def test_pictures_land_in_the_run_and_are_tracked(store: Path, digits: Path, name: str) -> None:
    steps = len(read_steps(digits))
    result = invoke("probe", name, digits.name, "--store", str(store))
    assert result.exit_code == 0, result.output
    written = Path(result.output.strip())
    assert written.parent == digits / "plots"
    title = {"interpolate": "interpolation"}.get(name, name)
    (tracked,) = (digits / "images" / "probes" / title).glob("*.png")
    assert tracked.stem == "00000006"
    pixels = [np.asarray(PIL.Image.open(each).convert("RGB")) for each in (written, tracked)]
    assert np.array_equal(*pixels)
    assert pixels[0].std() > 10
    assert read_fields(digits)["sys/status"] == "finished"
    assert (
        f"probes/{title}/00000006.png" in invoke("show", digits.name, "--store", str(store)).output
    )
    assert len(read_steps(digits)) == steps


def test_a_picture_of_a_run_that_is_being_trained_is_not_tracked(
    store: Path, digits: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "walk.png"
    tracked = set(digits.rglob("*.png"))
    with locked(digits, training=True):
        result = invoke(
            "probe", "interpolate", digits.name, "-o", str(picture), "--store", str(store)
        )
    assert result.exit_code == 0, result.output
    assert "Not written to the run, because another process is writing it" in said(result)
    assert picture.exists()
    assert set(digits.rglob("*.png")) == tracked


def test_features_are_compared_with_three_controls(
    store: Path, digits: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "features.png"
    result = invoke(
        "probe", "features", digits.name, "--most", "30", "--draws", "2", "-o", str(picture),
        "--store", str(store),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "which D has seen without labels" in said(result)
    last = last_values(digits)
    found = {name: last[f"probes/features/{name}_accuracy"] for name in (
        "discriminator", "random_discriminator", "principal_components", "pixels"
    )}  # fmt: skip
    assert all(0.6 < value < 1 for value in found.values()), found
    assert last["probes/features/labels_a_class"] == 30
    assert f"{found['pixels']:.1%}" in result.output
    assert PIL.Image.open(picture).width > 1_000


def test_other_labelled_images_and_their_mistakes(
    store: Path, digits: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 6)):
        for level, name in enumerate(("dark", "bright")):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 80, (40, 40), dtype=np.uint8) + 150 * level
                PIL.Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    chosen = ("probe", "features", digits.name, "--store", str(store), "--draws", "1")
    data = ("--data", str(tmp_path / "train"))
    result = invoke(*chosen, *data, "--held-out", str(tmp_path / "test"))
    assert result.exit_code == 0, result.output
    assert "12 images that D has not seen" in said(result)
    assert last_values(digits)["probes/features/discriminator_accuracy"] == 1

    wrong = invoke(*chosen, *data, "--held-out", str(tmp_path / "train" / "dark"))
    assert wrong.exit_code == 2
    assert "have no labels" in said(wrong)
    flat = invoke(*chosen, "--data", str(tmp_path / "train" / "dark"))
    assert flat.exit_code == 2
    assert "Give a folder with one folder per class" in said(flat)
    large = invoke(*chosen, *data, "--seed", str(2**33))
    assert large.exit_code == 0, large.output
    assert invoke(*chosen, *data, "--seed", str(2**64)).exit_code == 2
    for file in [*(tmp_path / "train" / "dark").iterdir()][1:]:
        file.unlink()
    few = invoke(*chosen, *data)
    assert few.exit_code == 2
    assert "13 images of 2 classes" in said(few)
    assert "the smallest with 1 image, are too few" in said(few)


def test_a_class_that_does_not_exist_or_is_not_drawn(store: Path, digits: Path) -> None:
    command = ("probe", "arithmetic", digits.name, "--store", str(store))
    unknown = invoke(*command, "--from", "11")
    assert unknown.exit_code == 2
    assert "There is no class '11'" in said(unknown)
    assert "The classes are: 0, 1" in said(unknown)
    same = invoke(*command, "--from", "4", "--to", "4")
    assert same.exit_code == 2
    assert "--from and --to are the same class, '4': name two classes" in said(same)
    untrained = invoke(*command, "--from", "0", "--to", "1")
    assert untrained.exit_code in (0, 2), untrained.output
    if untrained.exit_code == 2:
        assert "too few for a mean" in said(untrained)
    chosen = ("interpolate", digits.name, "--checkpoint", "3")
    missing = invoke("probe", *chosen, "--store", str(store))
    assert missing.exit_code == 2
    assert "There is no checkpoint of step 3" in said(missing)


def test_a_mosaic_shows_every_image_in_its_place() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1).repeat(4, 2).repeat(4, 3) * 40
    figure = mosaic_figure(images, "title", "note")
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.shape == (2 * 6 - 2, 3 * 6 - 2)
    assert [shown[6 * row, 6 * column] for row in range(2) for column in range(3)] == [
        0, 40, 80, 120, 160, 200,
    ]  # fmt: skip
    assert shown[4, 0] == 255


def test_a_mosaic_without_a_title_leaves_no_room_for_one() -> None:
    figure = mosaic_figure(np.zeros((1, 9, 32, 32, 1), np.uint8), "", "note")
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().height > 0.6


def test_curves_are_the_numbers() -> None:
    rows = [("D", 10, 0, 0.5), ("D", 10, 1, 0.7), ("D", 30, 0, 0.9), ("pixels", 10, 0, 0.2),
            ("pixels", 30, 0, 0.4)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["space", "labels_per_class", "split", "accuracy"])
    axes = label_efficiency(table, "title", "note").axes[0]
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert lines == {"D": pytest.approx([0.6, 0.9]), "pixels": pytest.approx([0.2, 0.4])}
    images = np.zeros((1, 2, 4, 4, 1), np.uint8)
    below = class_shift(images, [0, 1], [0.0, 0.8], [0.0, 0.1], "title", "note").axes[1]
    assert [line.get_ydata()[-1] for line in below.lines] == [0.8, 0.1]
