"""`dcgan sample`, as a user meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tests.support.refusal import error_of
from tests.support.untrained_run import write_untrained_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "runs"
    write_untrained_run(folder, "digits-aaaaaa", "stabilisers.generator_ema=0.9")
    return folder


def sample(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["sample", "last", "--store", str(store), *arguments], env={"COLUMNS": "160"}
    )


def test_an_image_of_a_seed_is_the_same_in_a_folder_a_grid_and_an_array(
    store: Path, tmp_path: Path
) -> None:
    outputs = {"some/": ["-n", "3"], "many.npz": ["-n", "70"], "grid.png": ["--columns", "16"]}
    for output, arguments in outputs.items():
        result = sample(store, "-o", f"{tmp_path}/{output}", *arguments, "--seed", "5")
        assert result.exit_code == 0, result.output
        assert "images by digits-aaaaaa" in result.output
    names = sorted(file.name for file in (tmp_path / "some").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png"]
    grid = np.asarray(PIL.Image.open(tmp_path / "grid.png"))
    assert grid.shape == (4 * 34 + 2, 16 * 34 + 2)
    with np.load(tmp_path / "many.npz") as arrays:
        assert arrays["arr_0"].shape == (70, 32, 32, 1)
        for place, name in enumerate(names):
            image = np.asarray(PIL.Image.open(tmp_path / "some" / name))
            assert np.array_equal(image, arrays["arr_0"][place, :, :, 0])
            left = 2 + 34 * place
            assert np.array_equal(image, grid[2:34, left : left + 32])


def test_seeds_a_file_of_latents_and_a_walk_choose_images(store: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.zeros((5, 6), np.float32))
    for output, arguments in {
        "seeds/": ["--seeds", "0-2,40"],
        "walk/": ["--interpolate", "0", "40", "-n", "7"],
        "same/": ["--latents", f"{tmp_path}/z.npy"],
        "average/": ["--weights", "ema", "--seeds", "0"],
    }.items():
        result = sample(store, "-o", f"{tmp_path}/{output}", *arguments)
        assert result.exit_code == 0, result.output

    def read(folder: str) -> dict[str, np.ndarray]:
        files = sorted((tmp_path / folder).iterdir())
        return {file.stem: np.asarray(PIL.Image.open(file)).astype(int) for file in files}

    seeds, walk, same = read("seeds"), list(read("walk").values()), read("same")
    assert list(seeds) == ["seed-00", "seed-01", "seed-02", "seed-40"]
    assert len(walk) == 7
    for end, seed in ((walk[0], "seed-00"), (walk[-1], "seed-40")):
        assert abs(end - seeds[seed]).max() <= 1, "rounding in the last bit"
    assert len(same) == 5
    assert all(np.array_equal(image, same["00000"]) for image in same.values())
    assert not np.array_equal(read("average")["seed-0"], seeds["seed-00"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "x.gif"], "For one picture choose .png, .jpg"),
        (["-o", "folder"], "a folder with / at its end"),
        (["-o", "full/"], "full is not empty"),
        (["-o", "x.npz", "--columns", "3"], "--columns is for one picture"),
        (["--seed", "3", "--seeds", "4"], "either --seed or --seeds"),
        (["--latents", "z.npy", "--interpolate", "1", "2"], "either --latents or --interpolate"),
        (["--latents", "z.npy"], "z.npy cannot be read: No such file"),
        (["--seeds", "1-x"], "--seeds 0-63"),
        (["--seeds", "4,4"], "each seed once"),
        (["--seeds", "7-3"], "each seed once"),
        (["--seeds", "0-99999999999"], "at most 1,000,000 seeds"),
        (["--seeds", "4,5", "-n", "3"], "--seeds names 2 images"),
        (["--interpolate", "1", "2", "-n", "1"], "at least two images"),
        (["-n", "5000", "--mode", "train"], "of at most 4,096"),
        (["-n", "1000000", "-o", "grid.webp"], "A grid of 1,000,000 images"),
        (["-n", "0"], "Invalid value for '-n'"),
        (["--seed", str(2**64)], "Invalid value for '--seed'"),
        (["--interpolate", "1", str(2**64)], "Invalid value for '--interpolate'"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    result = sample(store, *arguments)
    assert said in error_of(result)
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine.txt"]
