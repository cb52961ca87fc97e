"""A training on images that are not square, and all that can be done with it afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from rich.text import Text
from typer.testing import CliRunner, Result

from analysis.plots.arm_grids import grids_by_step_and_arm
from dcgan.cli import app
from dcgan.cli.terminal_picture import Drawing, grid_picture
from dcgan.evaluation.features.feature_space import own_space
from dcgan.evaluation.metrics.image_space import (
    multiscale_similarity,
    sliced_wasserstein_distance,
)
from dcgan.probes.linear_probe import convolutional_features
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.sampling import draw_pixels
from diagnosis.image_grids import image_sides, split_grid
from tracking.backends.local import read_fields, run_folders

HEIGHT, WIDTH = 16, 48
TINY = [
    part
    for setting in (
        f"dataset.image_size=[{HEIGHT},{WIDTH}]",
        "network.generator_features=2",
        "network.discriminator_features=2",
        "network.latent_size=4",
        "training.steps=2",
        "training.batch_size=8",
        "images.count=6",
        "evaluation.samples=100",
        'stabilisers.diff_augment=["translation","cutout"]',
    )
    for part in ("--set", setting)
]


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on 100 pictures, left half red and right half blue, in two classes."""
    folder, store = tmp_path_factory.mktemp("wide"), tmp_path_factory.mktemp("runs")
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2, 0], pixels[:, WIDTH // 2 :, 2] = 255, 255
    for number in range(100):
        pixels[0, 0, 1] = number  # so that no two are the same
        file = folder / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels).save(file)
    invoke("train", "celeba", "--data", str(folder), *TINY, "--store", str(store))
    (run,) = run_folders(store)
    return run


def grids(run: Path, name: str) -> list[Path]:
    return sorted((run / "images" / name).glob("*.png"))


def test_its_grids_hold_images_of_this_shape(run: Path) -> None:
    (real,) = grids(run, "real")
    with PIL.Image.open(real) as picture:
        images = split_grid(np.asarray(picture), (HEIGHT, WIDTH), 6)
    assert images.shape == (6, HEIGHT, WIDTH, 3)
    assert (images[:, 1:, : WIDTH // 2] == (255, 0, 0)).all()
    assert (images[:, 1:, WIDTH // 2 :] == (0, 0, 255)).all()
    size = read_fields(run)["config/dataset/image_size"]
    assert size == [HEIGHT, WIDTH]
    assert image_sides(size) == (HEIGHT, WIDTH)
    assert image_sides(28) == (28, 28)
    assert image_sides(None) is None


def test_the_terminal_shows_whole_images(run: Path) -> None:
    picture = grid_picture(
        grids(run, "real")[0], (HEIGHT, WIDTH), (100, 18), Drawing("blocks", (1, 2))
    )
    assert isinstance(picture, Text)
    lines = picture.plain.splitlines()
    assert (len(lines), len(lines[0])) == (18, 97), "two images wide, two high"


def test_it_is_sampled_and_walked_through(run: Path, tmp_path: Path) -> None:
    at = ("--store", str(run.parent))
    invoke("sample", run.name, "-n", "4", "-o", str(tmp_path / "new.png"), *at)
    with PIL.Image.open(tmp_path / "new.png") as picture:
        assert picture.size == (2 * (WIDTH + 2) + 2, 2 * (HEIGHT + 2) + 2)
    for probe in ("interpolate", "filters"):
        assert Path(invoke("probe", probe, run.name, *at).output.strip()).exists()


def test_its_features_and_scores(run: Path) -> None:
    opened = TrainedRun.open(run)
    images = opened.images()
    fakes = draw_pixels(opened.generator(), opened.config.network, opened.device, 100, seed=0)
    assert fakes.shape == images.pixels.shape == (100, 3, HEIGHT, WIDTH)
    assert sliced_wasserstein_distance(images.pixels, fakes) > sliced_wasserstein_distance(
        images.pixels, images.pixels
    )
    assert 0 <= multiscale_similarity(fakes) <= 1
    assert own_space(images, opened.device).features(fakes).shape == (100, 128)
    # Maps of 8x24, 4x12: D's two hidden layers, pooled to 4x4 each.
    assert convolutional_features(opened.discriminator(), fakes).shape == (100, 16 * (2 + 4))


def test_it_is_drawn(run: Path) -> None:
    files = {int(file.stem): file for file in grids(run, "fixed_noise")}
    figure = grids_by_step_and_arm({"a": files}, {"a": (HEIGHT, WIDTH)}).figure
    shown = [np.asarray(axes.images[0].get_array()).shape[:2] for axes in figure.axes]
    assert shown == [(3 * (HEIGHT + 2) + 2, 2 * (WIDTH + 2) + 2)] * 2
