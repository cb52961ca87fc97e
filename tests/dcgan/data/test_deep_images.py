"""Images with more than 8 bits: their values are mapped as asked, and never lost silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dcgan.config.dataset import Dataset
from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config, ConfigError
from dcgan.data.dataset_warnings import dataset_warnings
from dcgan.data.image_set import DataError, DatasetCard, ImageSet
from dcgan.data.loading import load_images

RAMP = np.linspace(0, 1, 32 * 32).reshape(32, 32)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))


def folder_of(tmp_path: Path, *images: np.ndarray[Any, Any]) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images):
        PIL.Image.fromarray(image).save(folder / f"{number}.tif")
    return folder


def load(folder: Path, **settings: object) -> ImageSet:
    form = {"image_size": 32, "channels": 1, **settings}
    return load_images(Dataset.model_validate({"name": "folder", "path": str(folder), **form}))


@pytest.mark.parametrize(
    ("largest", "kind"), [(1.0, np.float32), (5_000.0, np.float32), (5_000.0, np.int32)]
)
def test_a_range_that_is_not_known_is_asked_for_and_named(
    tmp_path: Path, largest: float, kind: type
) -> None:
    folder = folder_of(tmp_path, (RAMP * largest).astype(kind), (RAMP * 0.5).astype(kind))
    with pytest.raises(
        DataError, match=rf"from 0 to {largest:g}(.|\n)*value_range=\[0,{largest:g}\]"
    ):
        load(folder)
    images = load(folder, value_range=[0, largest])
    first = images.pixels[0, 0].numpy().astype(float)
    np.testing.assert_allclose(first, RAMP * 255, atol=1.1)
    assert images.card.clipped == 0
    assert f"values 0 to {largest:g} of deep images" in images.card.transforms


def test_16_bits_are_scaled_from_the_range_of_their_type(tmp_path: Path) -> None:
    values = (RAMP * 65_535).astype(np.uint16)
    images = load(folder_of(tmp_path, values))
    assert (images.pixels[0, 0].numpy() == values // 257).all()


def write_fits(file: Path, stored: np.ndarray[Any, Any], *cards: str) -> None:
    """Big-endian, the last row first, in blocks of 2,880 bytes, as the standard has it."""
    height, width = stored.shape
    bits = {"i2": 16, "i4": 32, "f4": -32}[stored.dtype.str[1:]]
    header = "".join(
        line.ljust(80)
        for line in (
            "SIMPLE  =                    T",
            f"BITPIX  = {bits:20}",
            "NAXIS   =                    2",
            f"NAXIS1  = {width:20}",
            f"NAXIS2  = {height:20}",
            *cards,
            "END",
        )
    )
    data = stored[::-1].astype(stored.dtype.newbyteorder(">")).tobytes()
    blocks = [header.encode().ljust(2_880), data.ljust(-(-len(data) // 2_880) * 2_880, b"\0")]
    file.write_bytes(b"".join(blocks))


def test_fits_files_have_the_values_that_their_header_gives(tmp_path: Path) -> None:
    unsigned = (RAMP * 65_535).astype(np.int32)
    zero = "BZERO   =              32768.0 / unsigned"
    write_fits(tmp_path / "a.fits", (unsigned - 32_768).astype(np.int16), zero)
    assert (load(tmp_path).pixels[0, 0].numpy() == unsigned // 257).all()

    write_fits(tmp_path / "a.fits", RAMP.astype(np.float32))
    seen = load(tmp_path, value_range=[0, 1]).pixels[0, 0].numpy()
    np.testing.assert_allclose(seen, RAMP * 255, atol=1.1)

    write_fits(tmp_path / "a.fits", (RAMP * 1_000).astype(np.int32), "BSCALE  = 1.0D-2")
    with pytest.raises(DataError, match="from 0 to 10"):
        load(tmp_path)


def test_negative_values_of_fits_files_are_not_taken_for_bright_ones(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", (RAMP * 1_000 - 500).astype(np.int16))
    with pytest.raises(DataError, match=r"from -500 to 500"):
        load(tmp_path)


def test_twelve_bits_in_sixteen_are_stretched_by_a_range(tmp_path: Path) -> None:
    images = load(folder_of(tmp_path, (RAMP * 4_095).astype(np.uint16)), value_range=[0, 4_095])
    np.testing.assert_allclose(images.pixels[0, 0].numpy(), RAMP * 255, atol=1.1)


def test_percentiles_are_those_of_each_image(tmp_path: Path) -> None:
    hot = RAMP * 7
    hot[0, 0] = 1e6  # a hot pixel
    images = load(
        folder_of(tmp_path, hot.astype(np.float32), (RAMP - 3).astype(np.float32)),
        value_range="percentile",
    )
    for image in images.pixels[:, 0].numpy():
        np.testing.assert_allclose(image[5:-5], (RAMP * 255)[5:-5], atol=5)


def test_floats_of_a_pfm_file_are_not_taken_for_16_bits(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    PIL.Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "images" / "a.pfm")
    with pytest.raises(DataError, match=r"from 0 to 1(.|\n)*value_range=\[0,1\]"):
        load(tmp_path / "images")


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_of_an_array_have_a_range_in_either_byte_order(tmp_path: Path, order: str) -> None:
    np.save(tmp_path / "a.npy", (RAMP * 65_535).astype(f"{order}u2")[None])
    first = load(tmp_path / "a.npy").pixels[0, 0].numpy().astype(float)
    np.testing.assert_allclose(first, RAMP * 255, atol=1.1)


@pytest.mark.parametrize(
    ("kind", "opaque", "value_range"),
    [
        (np.uint16, 65_535, "auto"),
        (np.uint16, 65_535, [0, 4_095]),
        (np.uint16, 65_535, "percentile"),
        (np.float32, 1, [0, 1]),
    ],
)
def test_transparent_parts_of_deep_arrays_get_the_background(
    tmp_path: Path, kind: type, opaque: int, value_range: object
) -> None:
    largest = 4_095 if opaque > 1 else 1
    array = np.zeros((1, 32, 32, 4), kind)
    array[..., :3] = (RAMP * largest).astype(kind)[..., None]
    array[:, :16, :, 3] = opaque
    np.save(tmp_path / "a.npy", array)
    images = load(tmp_path / "a.npy", value_range=value_range)
    upper, lower = images.pixels[0, 0, :16].float(), images.pixels[0, 0, 16:]
    assert (lower == 255).all(), "white"
    high = 65_535 if value_range == "auto" else largest
    np.testing.assert_allclose(upper, RAMP[:16] * largest / high * 255, atol=4)
    assert images.card.clipped == 0, "opacity is no value that is clipped"


def test_values_that_are_not_finite_are_not_trained_on(tmp_path: Path) -> None:
    broken = RAMP.astype(np.float32)
    broken[3, 3] = np.nan
    with pytest.raises(DataError, match=r"0\.tif: it has values that are not finite"):
        load(folder_of(tmp_path, broken), value_range=[0, 1])


def test_what_lies_outside_the_range_is_said(tmp_path: Path) -> None:
    card = load(folder_of(tmp_path, RAMP.astype(np.float32)), value_range=[0.0, 0.4]).card
    assert card.clipped == pytest.approx(0.6, abs=0.01)
    said = " ".join(dataset_warnings(card))
    assert "60% of the values of images with more than 8 bits lie outside" in said
    assert "60% of the values of images with more than 8 bits became black or white" in said


def test_images_that_hardly_vary_are_said(tmp_path: Path) -> None:
    """Values from 0 to 1 within a range of 5,000: what trained on black without a word."""
    card = load(folder_of(tmp_path, RAMP.astype(np.float32)), value_range=[0, 5_000]).card
    assert "hardly vary" in " ".join(dataset_warnings(card))


def test_copies_are_counted(tmp_path: Path) -> None:
    image = (RAMP * 255).astype(np.uint8)
    card = load(folder_of(tmp_path, image, image, image[::-1], image)).card
    assert card.duplicates == 2
    (said,) = dataset_warnings(card)
    assert said == "2 images of 4 have the same pixels as an earlier one."


def test_files_that_were_left_out_are_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, RAMP.astype(np.float32))
    for number in range(1, 6):
        (folder / f"{number}.png").write_text("no image")
    (said, *_) = dataset_warnings(load(folder, value_range=[0, 1], max_unreadable=5).card)
    assert said.startswith("5 files could not be read and are left out: 1.png: ")
    assert said.endswith("; and others.")
    assert "3.png" in said
    assert "4.png" not in said


def test_an_ordinary_set_has_no_warnings() -> None:
    digits = load_images(
        Dataset.model_validate({"name": "digits", "image_size": 32, "channels": 1})
    )
    assert digits.card.duplicates == 0
    assert not list(dataset_warnings(digits.card))
    mnist = DatasetCard("mnist", 70_000, (), (), (-0.74,), (0.62,), "", "sha256:00")
    assert not list(dataset_warnings(mnist)), "four fifths of its pixels are black, and belong so"


def of_recipe(setting: str) -> Config:
    return load_config("astro", [parse_override(setting)])


def test_a_range_is_set_like_any_other_key() -> None:
    assert of_recipe("dataset.value_range=[0,1]").dataset.value_range == (0, 1)
    assert of_recipe("dataset.value_range=percentile").dataset.value_range == "percentile"
    with pytest.raises(ConfigError, match="the first value must be below the second"):
        of_recipe("dataset.value_range=[5,5]")
