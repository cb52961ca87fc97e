"""Archives that are damaged, empty, or compressed in ways that Python cannot read."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dcgan.config.dataset import Dataset
from dcgan.data.image_set import DataError, ImageSet
from dcgan.data.loading import load_images
from tests.support.png import png

pytestmark = pytest.mark.usefixtures("cache_folder")

DRAWS = np.random.default_rng(0)
IMAGES = [png(DRAWS.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(30)]


def load(path: Path, **settings: object) -> ImageSet:
    form = {"name": "folder", "path": str(path), "image_size": 32, **settings}
    return load_images(Dataset.model_validate(form))


def write_tar(path: Path, mode: str) -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for number, content in enumerate(IMAGES):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_the_images_after_damage_to_a_tar_file_are_not_left_out_silently(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    write_tar(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w")
    assert load(path).card.size == len(IMAGES)
    content = bytearray(path.read_bytes())
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            damaged = archive.getmembers()[12].offset
    else:
        damaged = len(content) // 2
    content[damaged : damaged + 200] = DRAWS.bytes(200)
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        load(path, max_unreadable=len(IMAGES))


def test_a_member_whose_lzma_stream_is_damaged_is_counted_as_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for number, image in enumerate(IMAGES[:3]):
            archive.writestr(f"{number}.png", image)
    content = bytearray(path.read_bytes())
    content[45:65] = bytes(20)
    path.write_bytes(content)
    assert load(path, max_unreadable=1).card.size == 2


def test_a_zip_file_in_an_unknown_compression_names_the_method(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", IMAGES[0])
    content = bytearray(path.read_bytes())
    content[8] = content[content.index(b"PK\x01\x02") + 10] = 9
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png is compressed by method 9"):
        load(path)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_an_array_without_images_says_so(tmp_path: Path, kind: type) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 32, 32), kind))
    with pytest.raises(DataError, match=r"a\.npy holds no images"):
        load(tmp_path / "a.npy")
