"""Data sets: real pixels, exact transforms, and files that are no images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from sklearn.datasets import load_digits

from dcgan.config import Dataset
from dcgan.data import DataError, load_images, scale


def picture(width: int, height: int, seed: int = 0) -> PIL.Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def folder_of(path: Path, channels: int = 3) -> Dataset:
    return Dataset(name="folder", path=str(path), image_size=32, channels=channels)


def test_digits_are_those_of_scikit_learn():
    images = load_images(Dataset(name="digits", image_size=32, channels=1))
    assert images.pixels.shape == (1797, 1, 32, 32)
    assert images.pixels.dtype == torch.uint8
    small = images.pixels.float().unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(-1, -2))[:, 0]
    original = torch.from_numpy(load_digits().images) * 255 / 16
    assert np.corrcoef(small.flatten(), original.flatten())[0, 1] > 0.99
    assert images.card.size == 1797
    assert images.card.classes == tuple("0123456789")
    scaled = scale(images.pixels).double()
    assert images.card.mean == (pytest.approx(scaled.mean().item(), abs=1e-5),)
    assert images.card.std == (pytest.approx(scaled.std(correction=0).item(), abs=1e-5),)


def test_scale_maps_bytes_onto_the_range_of_tanh():
    bytes_ = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(scale(bytes_), torch.tensor([-1.0, -0.6, 1.0]))


def test_a_folder_is_read_nested_in_the_order_of_its_paths(tmp_path: Path):
    (tmp_path / "b").mkdir()
    for index, name in enumerate(("b/1.png", "a.PNG", "c.webp")):
        picture(32, 32, index).save(tmp_path / name, lossless=True)
    (tmp_path / "notes.txt").write_text("not an image by its name")
    images = load_images(folder_of(tmp_path))
    assert images.pixels.shape == (3, 3, 32, 32)
    for position, seed in enumerate((1, 0, 2)):  # a.PNG, b/1.png, c.webp
        expected = np.asarray(picture(32, 32, seed)).transpose(2, 0, 1)
        np.testing.assert_array_equal(images.pixels[position], expected)


@pytest.mark.parametrize("size", [(64, 32), (32, 64), (33, 50), (500, 40), (8, 8)])
def test_the_shorter_side_is_resized_and_the_centre_cropped(tmp_path: Path, size: tuple[int, int]):
    width, height = size
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    PIL.Image.fromarray(np.tile(ramp, (height, 1))).save(tmp_path / "ramp.png")
    pixels = load_images(folder_of(tmp_path, channels=1)).pixels
    assert pixels.shape == (1, 1, 32, 32)
    assert abs(pixels.float().mean().item() - 127.5) < 4  # the centre of the ramp is its middle


def test_grey_palette_and_transparent_images_get_the_channels_asked_for(tmp_path: Path):
    for mode in ("L", "P", "RGBA", "1", "CMYK", "I;16"):
        source = picture(40, 40).convert("L" if mode == "I;16" else mode)
        suffix = "tif" if mode in ("CMYK", "I;16") else "png"
        source.save(tmp_path / f"{mode.replace(';', '')}.{suffix}")
    assert load_images(folder_of(tmp_path, channels=3)).pixels.shape == (6, 3, 32, 32)
    assert load_images(folder_of(tmp_path, channels=1)).pixels.shape == (6, 1, 32, 32)


def test_the_fingerprint_changes_with_any_pixel(tmp_path: Path):
    picture(32, 32).save(tmp_path / "a.png")
    first = load_images(folder_of(tmp_path)).card.fingerprint
    assert load_images(folder_of(tmp_path)).card.fingerprint == first
    changed = picture(32, 32)
    changed.putpixel((5, 5), (1, 2, 3))
    changed.save(tmp_path / "a.png")
    assert load_images(folder_of(tmp_path)).card.fingerprint != first


def test_a_missing_folder_a_file_and_an_empty_folder(tmp_path: Path):
    with pytest.raises(DataError, match="no such folder"):
        load_images(folder_of(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no images"):
        load_images(folder_of(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="a file, not a folder"):
        load_images(folder_of(tmp_path / "file"))


@pytest.mark.parametrize("content", [b"", b"these are words", b"\x89PNG\r\n\x1a\n broken"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes):
    picture(32, 32).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png is no image"):
        load_images(folder_of(tmp_path))


def test_a_truncated_image_is_named(tmp_path: Path):
    picture(200, 200).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"torn\.jpg"):
        load_images(folder_of(tmp_path))
