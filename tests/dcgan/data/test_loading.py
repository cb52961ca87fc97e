"""Data sets: real pixels, exact transforms, and files that are no images."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision import transforms

from dcgan.config.dataset import Dataset
from dcgan.config.loading import Override, load_config
from dcgan.config.schema import ConfigError
from dcgan.data.image_set import DataError
from dcgan.data.loading import load_held_out, load_images
from dcgan.data.scaling import to_unit_range


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
    assert sum(images.card.class_sizes) == 1797
    scaled = to_unit_range(images.pixels).double()
    assert images.card.mean == (pytest.approx(scaled.mean().item(), abs=1e-5),)
    assert images.card.std == (pytest.approx(scaled.std(correction=0).item(), abs=1e-5),)


@pytest.mark.parametrize(("name", "size", "channels"), [("digits", 16, 1), ("sky", 64, 3)])
def test_who_changes_an_embedded_set_changes_it_for_nobody_else(
    name: str, size: int, channels: int
):
    dataset = Dataset(name=name, image_size=size, channels=channels)
    first = load_images(dataset)
    pixels, labels = first.pixels.clone(), first.labels.clone()
    first.pixels.zero_()
    first.labels.zero_()
    second = load_images(dataset)
    assert torch.equal(second.pixels, pixels)
    assert torch.equal(second.labels, labels)


def test_scale_maps_bytes_onto_the_range_of_tanh():
    bytes_ = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(to_unit_range(bytes_), torch.tensor([-1.0, -0.6, 1.0]))


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


SIZES = [(64, 32), (32, 64), (33, 50), (51, 40), (500, 40), (8, 9), (31, 32), (32, 33), (32, 32)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_sizes_are_made_as_torchvision_makes_them(tmp_path: Path, size: tuple[int, int], fit: str):
    picture(*size).save(tmp_path / "a.png")
    steps = {
        "crop": [transforms.Resize(32), transforms.CenterCrop(32)],
        "stretch": [transforms.Resize((32, 32))],
    }
    expected = transforms.Compose([*steps[fit], transforms.PILToTensor()])(picture(*size))
    dataset = Dataset(name="folder", path=str(tmp_path), image_size=32, fit=fit)
    assert torch.equal(load_images(dataset).pixels[0], expected)


def test_grey_palette_and_transparent_images_get_the_channels_asked_for(tmp_path: Path):
    for mode in ("L", "P", "RGBA", "1", "CMYK", "I;16"):
        source = picture(40, 40).convert("L" if mode == "I;16" else mode)
        suffix = "tif" if mode in ("CMYK", "I;16") else "png"
        source.save(tmp_path / f"{mode.replace(';', '')}.{suffix}")
    assert load_images(folder_of(tmp_path, channels=3)).pixels.shape == (6, 3, 32, 32)
    assert load_images(folder_of(tmp_path, channels=1)).pixels.shape == (6, 1, 32, 32)


def test_16_bits_are_scaled_and_not_clipped(tmp_path: Path):
    ramp = np.linspace(0, 65_535, 32 * 32).reshape(32, 32).astype(np.uint16)
    PIL.Image.fromarray(ramp).save(tmp_path / "ramp.png")
    PIL.Image.fromarray(ramp).save(tmp_path / "ramp.tif")
    pixels = load_images(folder_of(tmp_path, channels=1)).pixels
    for image in pixels:
        assert torch.equal(image[0], torch.from_numpy((ramp // 257).astype(np.uint8)))


def test_transparent_parts_become_white(tmp_path: Path):
    clear = PIL.Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 16, 32))
    clear.save(tmp_path / "a.png")
    clear.quantize().save(tmp_path / "b.png")  # a palette with transparency
    for image in load_images(folder_of(tmp_path)).pixels:
        assert image[:, :, :16].float().mean(dim=(1, 2)).tolist() == [0, 0, 255]
        assert (image[:, :, 16:] == 255).all()


def test_images_stand_as_their_exif_says(tmp_path: Path):
    lying = PIL.Image.new("RGB", (32, 32))
    lying.paste((255, 255, 255), (0, 0, 16, 32))  # the left half is white
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying.save(tmp_path / "a.png", exif=exif)
    (image,) = load_images(folder_of(tmp_path)).pixels
    assert (image[:, :16] == 255).all()  # the upper half is
    assert (image[:, 16:] == 0).all()


def test_subfolders_are_classes_where_all_images_lie_in_them(tmp_path: Path):
    for index, name in enumerate(("cat/a.png", "cat/deep/b.png", "dog/c.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(32, 32, index).save(tmp_path / name)
    card = load_images(folder_of(tmp_path)).card
    assert (card.classes, card.class_sizes) == (("cat", "dog"), (2, 1))
    picture(32, 32, 3).save(tmp_path / "stray.png")
    card = load_images(folder_of(tmp_path)).card
    assert (card.size, card.classes, card.class_sizes) == (4, (), ())


def test_held_out_images_may_lie_in_other_splits_than_those_trained_on(tmp_path: Path):
    for split in ("test", "val"):
        (tmp_path / split).mkdir()
        picture(32, 32).save(tmp_path / split / "0.png")
    trained = folder_of(tmp_path / "elsewhere")
    for split, count in (("train", 2), ("val", 1)):
        held_out = load_held_out(trained.model_copy(update={"split": split}), str(tmp_path))
        assert held_out is not None
        assert held_out.card.size == count


def test_hidden_files_and_folders_are_left_out(tmp_path: Path):
    (tmp_path / ".thumbnails").mkdir()
    for index, name in enumerate(("a.png", ".b.png", ".thumbnails/c.png")):
        picture(32, 32, index).save(tmp_path / name)
    assert load_images(folder_of(tmp_path)).card.size == 1


def test_files_that_pillow_writes_or_recognises_only_are_no_broken_images(tmp_path: Path):
    picture(32, 32).save(tmp_path / "a.png")
    for name in ("licence.pdf", "labels.h5", "film.mpg"):
        (tmp_path / name).write_bytes(b"no picture")
    images = load_images(folder_of(tmp_path))
    assert images.card.size == 1
    assert images.left_out == {".h5": 1, ".mpg": 1, ".pdf": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 there")
def test_names_in_another_encoding_are_names(tmp_path: Path):
    for index, name in enumerate((b"caf\xe9", b"caf\xe8")):
        folder = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
        Path(folder).mkdir()
        picture(32, 32, index).save(Path(folder) / "a.png")
    images = load_images(folder_of(tmp_path))
    assert images.card.classes == ("caf\udce8", "caf\udce9")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config("digits", [Override("dataset.path", folder, "--data")])


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
    with pytest.raises(DataError, match=r"holds no images\."):
        load_images(folder_of(tmp_path))
    for name in ("a.HEIC", "b.heic", "c.mov", "README", ".DS_Store"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"no images, but 2 \.heic, 1 without an ending, 1 \.mov"):
        load_images(folder_of(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="a file, not a folder"):
        load_images(folder_of(tmp_path / "file"))


BROKEN = [b"", b"these are words", b"\x89PNG\r\n\x1a\n broken"]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes):
    picture(32, 32).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png") as refused:
        load_images(folder_of(tmp_path))
    assert "--set dataset.max_unreadable" in str(refused.value)


def test_a_truncated_image_and_a_link_to_nowhere_are_named(tmp_path: Path):
    picture(200, 200).save(tmp_path / "torn.jpg")
    whole = (tmp_path / "torn.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"torn\.jpg"):
        load_images(folder_of(tmp_path))
    (tmp_path / "torn.jpg").unlink()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"link\.png"):
        load_images(folder_of(tmp_path))


def test_unreadable_files_are_skipped_and_counted_up_to_the_limit(tmp_path: Path):
    for index in range(5):
        (tmp_path / f"{index}").mkdir()
        picture(32, 32, index).save(tmp_path / f"{index}" / "a.png")
    for index, content in enumerate(BROKEN):
        (tmp_path / f"{index}" / "broken.png").write_bytes(content)
    folder = folder_of(tmp_path)
    with pytest.raises(DataError, match="3 files are not readable images"):
        load_images(folder.model_copy(update={"max_unreadable": 2}))
    images = load_images(folder.model_copy(update={"max_unreadable": 3}))
    assert images.card.size == len(images.pixels) == 5
    assert images.card.class_sizes == (1, 1, 1, 1, 1)
    assert [name.partition(":")[0] for name in images.card.skipped] == [
        "0/broken.png", "1/broken.png", "2/broken.png",
    ]  # fmt: skip
    for index in range(5):
        expected = np.asarray(picture(32, 32, index)).transpose(2, 0, 1)
        np.testing.assert_array_equal(images.pixels[index], expected)
    with pytest.raises(DataError, match="3 files are not readable images"):  # also from the cache
        load_images(folder)


def test_a_folder_without_a_single_readable_image(tmp_path: Path):
    (tmp_path / "bad.png").write_bytes(b"words")
    folder = folder_of(tmp_path).model_copy(update={"max_unreadable": 9})
    with pytest.raises(DataError, match=r"No image in .* can be read, of 1 file"):
        load_images(folder)


def test_a_folder_needs_a_path():
    with pytest.raises(DataError, match="--data"):
        load_images(Dataset(name="folder"))
