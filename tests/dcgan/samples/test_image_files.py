"""Images as files: complete or absent, in bounded memory."""

from __future__ import annotations

import io
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from dcgan.config.schema import Network
from dcgan.data.sources.archives import collect_archive
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.samples import latents
from dcgan.samples import pixels as pixels_module
from dcgan.samples.grid_file import GridError, arrange, write_grid
from dcgan.samples.image_files import Container, write_images
from dcgan.samples.latents import Latents
from dcgan.samples.pixels import MAX_IN_ONE_BATCH, Images, images_of, render_all
from dcgan.sampling import BATCH, GenerationError, draw_pixels
from tests.support.untrained_run import write_untrained_run
from tracking.errors import StoreError

COUNT = 2 * BATCH + 3


def chosen(count: int = COUNT) -> Latents:
    return latents.of_seed(Network(latent_size=6), 0, count)


def noise(count: int = COUNT, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, channels), np.uint8)


def images(pixels: np.ndarray) -> Images:
    """Images that need no generator."""
    batches = torch.from_numpy(pixels).split(BATCH)
    return Images(len(pixels), chosen().name, lambda: iter(batches), torch.Tensor.numpy)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    store = tmp_path_factory.mktemp("store")
    return TrainedRun.open(
        write_untrained_run(store, "digits-aaaaaa", "stabilisers.generator_ema=0.9")
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_all_containers_hold_the_same_images_in_order(channels: int, tmp_path: Path) -> None:
    expected = noise(channels=channels)
    containers: dict[Container, str] = {"folder": "a/b", "zip": "a/b.zip", "npz": "a/b.npz"}
    reported: list[tuple[int, int]] = []
    for container, name in containers.items():
        write_images(images(expected), tmp_path / name, container, lambda *n: reported.append(n))
    assert reported == [(BATCH, COUNT), (2 * BATCH, COUNT), (COUNT, COUNT)] * 3
    files = sorted((tmp_path / "a" / "b").iterdir())
    assert [file.name for file in files[:2]] == ["00000.png", "00001.png"]
    with zipfile.ZipFile(tmp_path / "a" / "b.zip") as archive:
        assert archive.namelist() == [file.name for file in files]
        zipped = [archive.read(name) for name in archive.namelist()]
    assert zipped == [file.read_bytes() for file in files]
    decoded = [np.asarray(PIL.Image.open(io.BytesIO(content))) for content in zipped]
    assert np.array_equal(np.stack(decoded).reshape(expected.shape), expected)
    with np.load(tmp_path / "a" / "b.npz") as arrays:
        assert list(arrays) == ["arr_0"]
        assert np.array_equal(arrays["arr_0"], expected)
    for name in ("a/b.zip", "a/b.npz"):
        assert len(collect_archive(tmp_path / name).images) == COUNT, "trains again"


@pytest.mark.parametrize("container", ["folder", "zip", "npz"])
def test_what_fails_in_between_leaves_nothing(container: Container, tmp_path: Path) -> None:
    batches = torch.from_numpy(noise()).split(BATCH)

    def render(batch: torch.Tensor) -> np.ndarray:
        if batch is batches[2]:
            raise GenerationError("diverged")
        return batch.numpy()

    broken = Images(COUNT, chosen().name, lambda: iter(batches), render)
    with pytest.raises(GenerationError):
        write_images(broken, tmp_path / "out", container)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("container", ["folder", "zip", "npz"])
def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    million = replace(images(noise()), count=1_000_000)
    with pytest.raises(StoreError, match=r"1,000,000 images need about .* MB.* has 1 MB left"):
        write_images(million, tmp_path / "out", container)
    assert list(tmp_path.iterdir()) == []
    write_images(images(noise()), tmp_path / "out", container)


def test_a_folder_with_files_is_not_touched_and_an_empty_one_is_used(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="full is not empty"):
        write_images(images(noise()), tmp_path / "full", "folder")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    (tmp_path / ".empty.99999999.tmp").mkdir()
    write_images(images(noise()), tmp_path / "empty", "folder")
    assert len(list((tmp_path / "empty").iterdir())) == COUNT
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "full"]


def test_batches_are_computed_side_by_side_and_few_wait_to_be_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    side_by_side = threading.Barrier(2, timeout=60)
    drawn, threads = 0, torch.get_num_threads()

    def batches() -> Iterator[torch.Tensor]:
        nonlocal drawn
        for _ in range(50):
            drawn += 1
            yield torch.zeros(BATCH, dtype=torch.uint8)

    def render(batch: torch.Tensor) -> np.ndarray:
        side_by_side.wait()  # for ever, if there were one thread
        assert torch.get_num_threads() == 1
        return batch.numpy()

    fifty = Images(50 * BATCH, chosen().name, batches, render)
    for taken, _ in enumerate(render_all(fifty)):
        assert drawn <= taken + 4
    assert taken == 49
    assert torch.get_num_threads() == threads


def test_a_grid_is_laid_out_row_by_row() -> None:
    pixels = noise(5)
    grid = arrange(images(pixels), columns=3)
    assert grid.shape == (2 * 10 + 2, 3 * 10 + 2, 3)
    assert np.array_equal(grid[2:10, 22:30], pixels[2])
    assert np.array_equal(grid[12:20, 12:20], pixels[4])
    assert not grid[12:20, 22:30].any()


def all_pixels(run: TrainedRun, chosen: Latents, **options: Any) -> np.ndarray:
    return np.concatenate(list(render_all(images_of(run, chosen, **options))))


def test_an_image_does_not_depend_on_how_many_there_are(run: TrainedRun) -> None:
    network = run.config.network
    many = all_pixels(run, latents.of_seed(network, 2, COUNT))
    few = all_pixels(run, latents.of_seed(network, 2, 3))
    assert many.shape == (COUNT, 32, 32, 1)
    assert np.array_equal(few, many[:3])
    drawn = draw_pixels(run.generator(), network, run.device, COUNT, seed=2)
    difference = drawn.permute(0, 2, 3, 1).numpy().astype(int) - many
    assert abs(difference).max() <= 1, "as evaluations draw them, but for the number of threads"


def test_weights_and_batch_norm_can_be_chosen(run: TrainedRun) -> None:
    current = all_pixels(run, chosen(BATCH))
    assert not np.array_equal(current, all_pixels(run, chosen(BATCH), weights="ema"))
    assert not np.array_equal(current, all_pixels(run, chosen(BATCH), mode="train"))
    with pytest.raises(GenerationError, match="--mode train"):
        images_of(run, chosen(MAX_IN_ONE_BATCH + 1), mode="train")


def test_one_image_has_no_statistics_where_maps_have_one_pixel(
    run: TrainedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels_module, "normalises_pixels", lambda config: True)
    with pytest.raises(GenerationError, match="--mode train needs at least two images"):
        images_of(run, chosen(1), mode="train")
    assert len(all_pixels(run, chosen(1))) == 1
    assert len(all_pixels(run, chosen(2), mode="train")) == 2


def test_images_that_are_not_finite_are_refused(run: TrainedRun, tmp_path: Path) -> None:
    broken = dict(run.state["generator"])
    broken["0.weight"] = torch.full_like(broken["0.weight"], torch.nan)
    diverged = replace(run, state={**run.state, "generator": broken})
    with pytest.raises(GenerationError, match="diverged"):
        write_images(images_of(diverged, chosen()), tmp_path / "a.zip", "zip")
    assert list(tmp_path.iterdir()) == []


def test_a_grid_can_be_black_on_white(tmp_path: Path) -> None:
    for name, inverted in (("a", False), ("b", True)):
        file = tmp_path / f"{name}.png"
        write_grid(images(noise(4)), (8, 8), file, "PNG", columns=4, inverted=inverted)
    plain, negative = (np.asarray(PIL.Image.open(tmp_path / f"{name}.png")) for name in "ab")
    assert plain.shape == (12, 42, 3)
    assert np.array_equal(negative[2:10, 2:10], 255 - plain[2:10, 2:10])


@pytest.mark.parametrize(
    ("kind", "columns", "limit"),
    [("PNG", None, "89,478,485 pixels"), ("WEBP", 2_000, "16,383 pixels per edge")],
)
def test_a_grid_that_nothing_could_open_is_refused(
    tmp_path: Path, kind: str, columns: int | None, limit: str
) -> None:
    million = replace(images(noise()), count=1_000_000 if columns is None else 4_000)
    with pytest.raises(GridError, match=rf"(?s){limit}.*-o folder/"):
        write_grid(million, (8, 8), tmp_path / "a.png", kind, columns=columns)
    assert list(tmp_path.iterdir()) == []
