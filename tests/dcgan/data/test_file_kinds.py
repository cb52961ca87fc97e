"""Kinds of files that people have, each with its right pixel values."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dcgan.config.dataset import Dataset
from dcgan.data import decoding
from dcgan.data.dataset_warnings import dataset_warnings
from dcgan.data.decoding import ImageFormat, decode
from dcgan.data.file_statistics import kind_in_words
from dcgan.data.image_set import DataError, ImageSet
from dcgan.data.loading import load_images

RGB = ImageFormat((16, 16), 3, "crop")


def pixels_of(
    content: bytes | np.ndarray[Any, Any], image_format: ImageFormat = RGB
) -> np.ndarray[Any, Any]:
    """(C, H, W) of the only image."""
    images: Any = content[None] if isinstance(content, np.ndarray) else [content]
    decoded = decode(images, image_format)
    assert decoded.unreadable == {}
    return decoded.pixels[0]


def encoded(image: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", PIL.Image.MODES)
def test_every_mode_is_named_as_readers_know_it(mode: str) -> None:
    _, _, words = kind_in_words(f"TIFF {mode}").partition(" ")
    assert words in ("RGB", "CMYK", "YCbCr", "LAB", "HSV") or re.search(
        "grey|white|palette|RGB", words
    )
    assert kind_in_words("PPM I") == "PPM 16-bit grey"
    assert kind_in_words("array uint8") == "array 8-bit"


@pytest.mark.parametrize(
    ("size", "sides", "fit", "kept"),
    [
        ((64, 32), (16, 32), "crop", (0, 64, 0, 32)),
        ((64, 64), (16, 32), "crop", (0, 64, 16, 48)),
        ((96, 32), (16, 32), "crop", (16, 80, 0, 32)),
        ((32, 64), (32, 16), "crop", (0, 32, 0, 64)),
        ((64, 64), (32, 16), "crop", (16, 48, 0, 64)),
        ((96, 48), (32, 32), "crop", (24, 72, 0, 48)),
        ((90, 30), (16, 32), "stretch", (0, 90, 0, 30)),
    ],
)
def test_what_is_cut_away_where_height_and_width_differ(
    size: tuple[int, int], sides: tuple[int, int], fit: Any, kept: tuple[int, int, int, int]
) -> None:
    """`size` is width and height of a picture, `kept` left, right, top and bottom of it."""
    width, height = size
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    picture = PIL.Image.fromarray(np.stack([across, down, across], 2).round().astype(np.uint8))
    found = pixels_of(encoded(picture, "PNG"), ImageFormat(sides, 3, fit))
    left, right, top, bottom = kept
    part = picture.crop((left, top, right, bottom))
    expected = part.resize(sides[::-1], PIL.Image.Resampling.BILINEAR)
    assert found.shape == (3, *sides)
    # At the edges of what is kept, the filter also sees what is cut away.
    difference = found.transpose(1, 2, 0).astype(int) - np.asarray(expected)
    assert np.abs(difference[1:-1, 1:-1]).max() <= 1
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize(
    ("background", "colour"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#8090a0", (128, 144, 160))],
)
def test_transparent_parts_get_the_colour_of_the_background(
    background: str, colour: tuple[int, int, int]
) -> None:
    values = np.zeros((16, 16, 4), np.uint8)
    values[:, :, 0], values[:8, :, 3], values[8:, :, 3] = 200, 255, 128
    values[:, :4, 3] = 0
    image_format = ImageFormat((16, 16), 3, "crop", background=background)
    half = [
        round((200 * (channel == 0) * 128 + colour[channel] * 127) / 255) for channel in range(3)
    ]
    for content in (encoded(PIL.Image.fromarray(values), "PNG"), values):
        found = pixels_of(content, image_format).astype(int)
        assert (found[:, :, 0] == np.array(colour)[:, None]).all()
        assert (found[:, 0, 4] == (200, 0, 0)).all()
        assert np.abs(found[:, 15, 4] - half).max() <= 1
    palette = PIL.Image.new("P", (16, 16), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert (
        pixels_of(encoded(palette, "PNG", transparency=1), image_format)[:, 3, 3]
        == np.array(colour)
    ).all()
    assert background == "white" or f"transparent parts {background}" in str(image_format)


@pytest.mark.parametrize("is_tall", [False, True])
def test_the_centre_of_a_line_is_kept_without_resizing_all_of_it(is_tall: bool) -> None:
    line = np.zeros((1, 60_000, 3), np.uint8)
    line[:, :29_000, 0], line[:, 29_000:31_000, 1], line[:, 31_000:, 2] = 255, 255, 255
    image = line.transpose(1, 0, 2) if is_tall else line
    green = pixels_of(np.ascontiguousarray(image), ImageFormat((512, 512), 3, "crop"))
    assert (green == np.array([0, 255, 0])[:, None, None]).all()


def test_both_ways_of_keeping_the_centre_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 200, 3), dtype=np.uint8)
    whole = pixels_of(image).astype(int)
    monkeypatch.setattr(decoding, "_LARGEST_RESIZED", 0)
    assert np.abs(pixels_of(image) - whole).max() <= 16


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP", "MPO"])
def test_of_several_pages_the_first_is_taken_and_counted(kind: str) -> None:
    frames = [PIL.Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    decoded = decode([content, encoded(frames[2], "PNG")], RGB)
    assert np.abs(decoded.pixels[0, :, 5, 5].astype(int) - (255, 0, 0)).max() <= 2
    assert decoded.file_statistics.paged == 1


def test_cut_off_files_are_unreadable_and_damaged_metadata_are_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number in range(4):
        content = encoded(
            PIL.Image.new("RGB", (16, 16), (9 * number, 0, 0)),
            "JPEG",
            exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0",
        )
        (folder / f"{number}.jpg").write_bytes(content if number else content[:-200])
    images = load(folder, max_unreadable=1)
    assert images.card.size == 3
    (warning,) = images.card.warnings
    assert warning.startswith("3 files, the first of them 1.jpg: ")
    assert "EXIF data are damaged" in warning
    assert [warning in text for text in dataset_warnings(images.card)].count(True) == 1


def test_files_with_more_pixels_than_allowed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "large"
    folder.mkdir()
    PIL.Image.new("RGB", (40, 30)).save(folder / "large.png")
    PIL.Image.new("RGB", (30, 30)).save(folder / "small.png")
    with pytest.raises(
        DataError, match=r"large\.png: it has 1,200 pixels, and dataset\.max_pixels is 1,199"
    ):
        load(folder, max_pixels=1_199)
    assert load(folder, max_pixels=1_200).card.size == 2
    limit = PIL.Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own limit plays no part
    assert load(folder, max_pixels=1_201).card.size == 2
    assert PIL.Image.MAX_IMAGE_PIXELS == 100 != limit


def load(folder: Path, **settings: object) -> ImageSet:
    choice = {"name": "folder", "path": str(folder), "image_size": 16, **settings}
    return load_images(Dataset.model_validate(choice))


def test_mirroring_is_on_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    PIL.Image.new("RGB", (30, 30)).save(tmp_path / "one.png")
    assert "mirror at random" not in load(tmp_path).card.transforms
    assert load(tmp_path, flip=True).card.transforms.endswith("mirror at random")
