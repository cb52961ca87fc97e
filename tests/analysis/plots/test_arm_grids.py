"""Grids of arms side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from analysis.plots.arm_grids import cropped, grids_by_step_and_arm
from analysis.plots.figure_file import save


def write(folder: Path, steps: list[int], images: int = 8, size: int = 10) -> dict[int, Path]:
    """Grids of as many images along a side; the grey of an image is its row times ten."""
    folder.mkdir()
    files = {}
    for step in steps:
        edge = images * (size + 2) + 2
        pixels = np.zeros((edge, edge), np.uint8)
        for row in range(images):
            top = 2 + row * (size + 2)
            pixels[top : top + size] = 10 * (row + 1)
        files[step] = folder / f"{step:08d}.png"
        PIL.Image.fromarray(pixels).save(files[step])
    return files


def test_rows_are_arms_and_columns_steps(tmp_path: Path) -> None:
    grids = {"$a": write(tmp_path / "a", [0, 10, 20]), "b": write(tmp_path / "b", [0, 20])}

    picture = grids_by_step_and_arm(grids, dict.fromkeys(grids, (10, 10)), seeds={"b": 3})

    save(picture, tmp_path)
    axes = np.array(picture.figure.axes).reshape(2, 2)
    assert [each.get_title("left") for each in axes[0]] == ["before training", "step 20"]
    assert [each.get_ylabel() for each in axes[:, 0]] == ["$a", "b\nseed 3"]
    for each in axes.flat:
        shown = np.asarray(each.images[0].get_array())
        assert shown.shape == (50, 50)
        assert shown.max() == 40  # the fifth row of images is cut off
        assert each.images[0].get_clim() == (0, 255)
    assert picture.data["step"].tolist() == [0, 20, 0, 20]
    assert "2 arms" in picture.alt
    assert "none was picked by hand" in picture.caption


def test_each_arm_is_cut_by_the_size_of_its_own_images(tmp_path: Path) -> None:
    grids = {"small": write(tmp_path / "a", [0]), "large": write(tmp_path / "b", [0], size=20)}

    picture = grids_by_step_and_arm(grids, {"small": (10, 10), "large": (20, 20)})

    shown = [np.asarray(axes.images[0].get_array()) for axes in picture.figure.axes]
    assert [pixels.shape for pixels in shown] == [(50, 50), (90, 90)]
    assert [pixels.max() for pixels in shown] == [40, 40], "the fifth row of images is cut off"


def test_arms_without_a_common_step_say_what_they_lack(tmp_path: Path) -> None:
    grids = {"a": write(tmp_path / "a", [10]), "b": write(tmp_path / "b", [20])}

    picture = grids_by_step_and_arm(grids, dict.fromkeys(grids, (10, 10)))

    said = [[text.get_text() for text in axes.texts] for axes in picture.figure.axes]
    assert said == [[], ["no picture"], ["no picture"], []]


def test_of_many_steps_five_are_shown(tmp_path: Path) -> None:
    grids = {"a": write(tmp_path / "a", list(range(0, 1_000, 10)), images=2)}

    picture = grids_by_step_and_arm(grids, dict.fromkeys(grids, (10, 10)))

    assert len(picture.figure.axes) == 5
    assert picture.data["step"].tolist()[::4] == [0, 990]


def test_a_small_grid_stays_whole() -> None:
    assert cropped(np.zeros((26, 26, 3), np.uint8), (10, 10)).shape == (26, 26, 3)


def test_no_picture_is_an_error() -> None:
    for grids in ({}, {"a": {}}):
        with pytest.raises(ValueError, match="no image"):
            grids_by_step_and_arm(grids, dict.fromkeys(grids, (10, 10)))
