"""Images in zip, tar, npy and npz files: the pixels are those of a folder with the same images."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch

from dcgan.config.dataset import Dataset
from dcgan.data.image_set import DataError, ImageSet
from dcgan.data.loading import load_images
from dcgan.data.sources import archives
from dcgan.data.sources.zstd_stream import ZstdStream
from tests.support.png import png

pytestmark = pytest.mark.usefixtures("cache_folder")

DRAWS = np.random.default_rng(0)
PIXELS = DRAWS.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


MEMBERS = {
    f"faces/{'cats' if number % 2 else 'dogs'}/{number}.png": png(image)
    for number, image in enumerate(PIXELS)
} | {
    "faces/readme.txt": b"not an image",
    "__MACOSX/faces/cats/._1.png": b"resource fork",
    "faces/cats/.hidden.png": b"hidden",
}


def load(path: Path, **settings: object) -> ImageSet:
    form = {"name": "folder", "path": str(path), "image_size": 32, **settings}
    return load_images(Dataset.model_validate(form))


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    if path.suffix == ".zst":
        write_tar(path.with_suffix(".tar"), members)
        with pyarrow.output_stream(str(path), compression="zstd") as compressed:
            compressed.write(path.with_suffix(".tar").read_bytes())
        return
    mode = {".tar": "w", ".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}[path.suffix]
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2", "a.tar.zst"]
)
def test_an_archive_is_read_like_the_folder_in_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    (write_zip if name.endswith("zip") else write_tar)(path, MEMBERS)

    images = load(path)

    assert images.card.classes == ("cats", "dogs")
    assert images.card.class_sizes == (3, 3)
    assert images.card.path == str(path)
    assert images.labels is not None
    found = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(images.pixels, images.labels, strict=True)
    }
    expected = {
        image.transpose(2, 0, 1).tobytes(): 0 if number % 2 else 1
        for number, image in enumerate(PIXELS)
    }
    assert found == expected
    assert torch.equal(load(path).pixels, images.pixels)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_flat_archive_has_no_classes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    members = {f"./{number}.png": png(image) for number, image in enumerate(PIXELS)}
    (write_zip if kind == "zip" else write_tar)(path, members)
    images = load(path)
    assert images.labels is None
    assert (images.pixels.numpy() == PIXELS.transpose(0, 3, 1, 2)).all()


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "NHW"])
def test_an_array_is_trained_on_as_it_is(tmp_path: Path, layout: str) -> None:
    pixels = {"NHWC": PIXELS, "NCHW": PIXELS.transpose(0, 3, 1, 2), "NHW": PIXELS[..., 0]}[layout]
    np.save(tmp_path / "a.npy", pixels)
    images = load(tmp_path / "a.npy", channels=1 if layout == "NHW" else 3)
    expected = PIXELS[:, None, ..., 0] if layout == "NHW" else PIXELS.transpose(0, 3, 1, 2)
    assert (images.pixels.numpy() == expected).all()


def test_an_npz_file_may_hold_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=np.array([[0], [2], [1], [0], [0], [2]]))
    images = load(tmp_path / "a.npz")
    assert images.card.classes == ("0", "1", "2")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 2, 1, 0, 0, 2]


def test_float_arrays_ask_for_their_range(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PIXELS.astype(np.float32) / 255)
    with pytest.raises(DataError, match="float or 32-bit values, from 0 to 1"):
        load(tmp_path / "a.npy")
    images = load(tmp_path / "a.npy", value_range=[0, 1])
    difference = images.pixels.numpy().astype(int) - PIXELS.transpose(0, 3, 1, 2)
    assert abs(difference).max() <= 1


def damage(write: Callable[[Path], None], path: Path) -> Path:
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half_zip = damage(lambda path: write_zip(path, MEMBERS), tmp_path / "half.zip")
    half_tar = damage(lambda path: write_tar(path, MEMBERS), tmp_path / "half.tar.gz")
    write_zip(tmp_path / "none.zip", {"readme.txt": b"nothing"})
    np.savez(tmp_path / "two.npz", train=PIXELS, test=PIXELS)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object))
    for path, said in (
        (half_zip, "half.zip cannot be read"),
        (half_tar, "half.tar.gz cannot be read"),
        (tmp_path / "none.zip", "holds no images"),
        (tmp_path / "two.npz", r"train \(6, 32, 32, 3\), test"),
        (tmp_path / "objects.npy", "cannot be read"),
    ):
        with pytest.raises(DataError, match=said):
            load(path)
    write_zip(tmp_path / "large.zip", MEMBERS)
    monkeypatch.setattr(archives, "LARGEST_MEMBER", 10)
    with pytest.raises(DataError, match=r"faces/dogs/0\.png would have [\d,]+ bytes"):
        load(tmp_path / "large.zip")


def test_an_encrypted_archive_names_its_member(tmp_path: Path) -> None:
    path = tmp_path / "secret.zip"
    write_zip(path, {"a.png": png(PIXELS[0])})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag of the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"it is encrypted \(a\.png\)"):
        load(path)


def test_a_broken_image_in_an_archive_is_named(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {**MEMBERS, "faces/cats/9.png": b"no picture"})
    with pytest.raises(DataError, match=r"faces/cats/9\.png"):
        load(tmp_path / "a.zip")
    images = load(tmp_path / "a.zip", max_unreadable=1)
    assert images.card.size == 6
    assert images.card.skipped == ("faces/cats/9.png: cannot identify image file",)


def test_a_member_that_is_damaged_is_counted_as_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_zip(path, {f"{number}.png": png(image) for number, image in enumerate(PIXELS)})
    content = bytearray(path.read_bytes())
    content[content.index(b"0.png") + 200] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"1 file is not a readable image(.|\n)*0\.png"):
        load(path)


def test_a_member_that_points_outside_is_named(tmp_path: Path) -> None:
    for name in ("../outside.png", "/etc/outside.png", "faces/../../outside.png"):
        write_zip(tmp_path / "outside.zip", MEMBERS | {name: MEMBERS["faces/dogs/0.png"]})
        with pytest.raises(DataError, match=rf"its member {name} points outside of it"):
            load(tmp_path / "outside.zip")


def test_links_in_a_tar_file_are_followed_within_it(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        for name, kind, content in (
            ("0.png", tarfile.REGTYPE, png(PIXELS[0])),
            ("1.png", tarfile.LNKTYPE, "0.png"),
            ("2.png", tarfile.SYMTYPE, "0.png"),
            ("3.png", tarfile.SYMTYPE, "/etc/passwd"),
        ):
            member = tarfile.TarInfo(name)
            member.type = kind
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.linkname = content
                archive.addfile(member)
    images = load(tmp_path / "links.tar", max_unreadable=1)
    assert (images.pixels.numpy() == PIXELS[:1].transpose(0, 3, 1, 2)).all()
    assert images.card.size == 3
    assert images.card.skipped == ("3.png: cannot identify image file",)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_folders_that_are_named_after_splits(tmp_path: Path, kind: str) -> None:
    names = ["train/a", "train/b", "train/b", "validation/a", "validation/b", "validation/b"]
    members = {f"set/{name}/{n}.png": png(PIXELS[n]) for n, name in enumerate(names)}
    path = tmp_path / f"set.{kind}"
    if kind == "folder":
        path = tmp_path / "set"
        for name, content in members.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    else:
        (write_zip if kind == "zip" else write_tar)(path, members)
    expected = PIXELS.transpose(0, 3, 1, 2)
    for split, part in (("train", expected[:3]), ("validation", expected[3:]), ("all", expected)):
        images = load(path, split=split)
        assert (images.pixels.numpy() == part).all()
        assert images.card.classes == ("a", "b")
    with pytest.raises(DataError, match=r"no split 'test'\. There are: train, validation"):
        load(path, split="test")


def test_zstd_goes_back_by_starting_anew(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    with pyarrow.output_stream(str(tmp_path / "a.zst"), compression="zstd") as compressed:
        compressed.write(content)
    stream = ZstdStream(tmp_path / "a.zst")
    assert stream.readable()
    assert stream.seekable()
    for position in (4_000_000, 5, 300, 5_119_990):
        assert stream.seek(position) == stream.tell() == position
        assert stream.read(20) == content[position : position + 20]
    assert stream.seek(-30, os.SEEK_CUR) == 5_119_970
    assert stream.seek(9_000_000) == len(content), "its end"
    with pytest.raises(io.UnsupportedOperation):
        stream.seek(0, os.SEEK_END)
