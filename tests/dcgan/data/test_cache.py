"""The cache of decoded images: built once, whole or absent, found by content."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loky
import numpy as np
import PIL.Image
import pytest
import torch

from dcgan.data import cache, decoded_chunks, parallel
from dcgan.data.cache import load_cached
from dcgan.data.decoding import ImageFormat
from dcgan.data.image_set import Collection, DataError, pixel_statistics
from dcgan.data.loading import load_images
from dcgan.data.parallel import CHUNK
from dcgan.data.progress import silent
from tests.support.forked import fork
from tests.support.image_folder import dataset, decoded, entries, save, told

pytestmark = pytest.mark.usefixtures("cache_folder")


def test_a_set_is_decoded_once_and_maps_the_same_pixels(faces: Path):
    first = load_images(dataset(faces))
    assert decoded(faces) == 0
    again = load_images(dataset(faces))
    assert torch.equal(first.pixels, again.pixels)
    assert first.card == again.card


def test_the_form_is_part_of_the_key(faces: Path):
    assert decoded(faces) == 12
    for settings in ({"image_size": 64}, {"channels": 1}, {"fit": "stretch"}):
        assert decoded(faces, **settings) == 12, settings
        assert decoded(faces, **settings) == 0, settings
    assert decoded(faces, max_unreadable=5) == 0


@pytest.mark.parametrize("change", ["content", "added", "removed", "renamed"])
def test_a_changed_folder_is_noticed(faces: Path, change: str):
    before = load_images(dataset(faces)).card.fingerprint
    actions: dict[str, Callable[[], object]] = {
        "content": lambda: save(faces / "03.png", 99),
        "added": lambda: save(faces / "12.png", 99),
        "removed": (faces / "03.png").unlink,
        "renamed": lambda: (faces / "03.png").rename(faces / "99.png"),
    }
    actions[change]()
    assert decoded(faces) > 0
    assert load_images(dataset(faces)).card.fingerprint != before


def test_a_touched_and_a_copied_folder_are_found_again(faces: Path, tmp_path: Path):
    assert decoded(faces) == 12
    os.utime(faces / "03.png", (1, 1))
    assert decoded(faces) == 0
    shutil.copytree(faces, tmp_path / "copy", copy_function=shutil.copyfile)
    assert decoded(tmp_path / "copy") == 0
    assert load_images(dataset(tmp_path / "copy")).card.path == str(tmp_path / "copy")


def test_the_files_are_read_only_where_their_signature_is_new(
    faces: Path, monkeypatch: pytest.MonkeyPatch
):
    load_images(dataset(faces))
    monkeypatch.setattr(
        "dcgan.data.sources.image_folder._digest", lambda *_: pytest.fail("read again")
    )
    load_images(dataset(faces))


def test_it_is_told_how_far_new_files_are_read(faces: Path):
    seen: list[tuple[int, int]] = []
    with told(hashed=lambda *counts: seen.append(counts)):
        load_images(dataset(faces))
    assert seen == [(12, 12)]
    with told(hashed=lambda *_: pytest.fail("read again")):
        load_images(dataset(faces))


def test_writing_to_the_pixels_does_not_change_the_cache(faces: Path):
    load_images(dataset(faces)).pixels.fill_(7)
    assert (load_images(dataset(faces)).pixels != 7).any()


def test_processes_decode_the_same_pixels_in_the_same_order(
    faces: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
):
    alone = load_images(dataset(faces)).pixels.clone()
    shutil.rmtree(cache_folder)
    monkeypatch.setattr(parallel, "SERIAL_LIMIT", 0)
    monkeypatch.setattr(decoded_chunks, "CHUNK", 5)
    (faces / "05b.png").write_bytes(b"no image")
    seen: list[tuple[int, int]] = []
    with told(decoded=lambda *counts: seen.append(counts)):
        images = load_images(dataset(faces, max_unreadable=1))
    assert torch.equal(images.pixels, alone)
    assert images.card.skipped[0].startswith("05b.png")
    assert seen == [(5, 13), (10, 13), (13, 13)]


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_an_interrupted_build_goes_on_where_it_stopped(
    faces: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch, cut: int
):
    """`cut`: what happens in between, to the log or to the pixels."""
    monkeypatch.setattr(decoded_chunks, "CHUNK", 5)
    (faces / "05b.png").write_bytes(b"no image")
    read: list[str] = []
    whole_decode_to = decoded_chunks.decode_to

    def decode_to(file: Path, row: int, images: list[Path], image_format: ImageFormat) -> object:
        read.extend(image.name for image in images)
        return whole_decode_to(file, row, images, image_format)

    def interrupt(done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(decoded_chunks, "decode_to", decode_to)
    with pytest.raises(KeyboardInterrupt), told(decoded=interrupt):
        load_images(dataset(faces, max_unreadable=1))
    assert len(read) == 10
    read.clear()
    (half,) = (cache_folder / "images").glob("*.tmp")
    _, first, second = (half / "chunks.jsonl").read_bytes().splitlines(keepends=True)
    match cut:
        case 1:  # the last line was not written completely
            (half / "chunks.jsonl").write_bytes(first + second[:-20])
        case 2:  # the machine went down before the pixels were on the disk
            os.truncate(half / "pixels.uint8", 32 * 32 * 3 * 7)
        case 3:
            shutil.rmtree(half)
    images = load_images(dataset(faces, max_unreadable=1))
    assert len(read) == {0: 3, 1: 8, 2: 8, 3: 13}[cut]
    assert images.card.size == 12
    assert images.card.skipped == ("05b.png: cannot identify image file",)
    assert images.file_statistics is not None
    assert images.file_statistics.kinds == {"PNG RGB": 12}
    assert entries(cache_folder) == [half.name.removesuffix(".tmp")]
    assert not (cache_folder / "images" / half.stem / "chunks.jsonl").exists()
    shutil.rmtree(cache_folder)
    monkeypatch.setattr(decoded_chunks, "CHUNK", 128)
    at_once = load_images(dataset(faces, max_unreadable=1))
    assert torch.equal(at_once.pixels, images.pixels)
    assert at_once.card == images.card


def test_a_build_with_too_many_unreadable_images_is_continued_once_they_may_be_skipped(
    faces: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(decoded_chunks, "CHUNK", 5)
    (faces / "11b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="11b"):
        load_images(dataset(faces))
    whole_decode_to, rows = decoded_chunks.decode_to, []

    def decode_to(file: Path, row: int, *arguments: object) -> object:
        rows.append(row)
        return whole_decode_to(file, row, *arguments)

    monkeypatch.setattr(decoded_chunks, "decode_to", decode_to)
    assert load_images(dataset(faces, max_unreadable=1)).card.size == 12
    assert rows == [10], "only what could not be read is tried again"


def test_files_that_change_while_they_are_read_are_not_kept_as_the_old_ones(faces: Path):
    old = (faces / "03.png").read_bytes()

    def change(done: int, total: int) -> None:
        (faces / "03.png").write_bytes((faces / "04.png").read_bytes())

    with pytest.raises(DataError, match="changed while they were read"), told(hashed=change):
        load_images(dataset(faces))
    (faces / "03.png").write_bytes(old)
    pixels = load_images(dataset(faces)).pixels
    assert not torch.equal(pixels[3], pixels[4])


def test_images_that_could_not_be_read_for_a_moment_are_read_the_next_time(
    faces: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise OSError("[Errno 5] Input/output error")

    with monkeypatch.context() as drive:
        drive.setattr(PIL.Image, "open", fail)
        with pytest.raises(DataError, match="Input/output error"):
            load_images(dataset(faces))
    assert load_images(dataset(faces)).card.size == 12


def test_a_killed_build_is_continued_and_what_is_abandoned_is_cleared_away(
    faces: Path, cache_folder: Path
):
    code = (
        "import sys, time\n"
        "from contextlib import nullcontext\n"
        "from dcgan.config.dataset import Dataset\n"
        "from dcgan.data import decoded_chunks\n"
        "from dcgan.data.loading import load_images\n"
        "from dcgan.data.progress import LoadingCallbacks, showing_images\n"
        "decoded_chunks.CHUNK = 4\n"
        "def stay(done, total):\n"
        "    if done == 8:\n"
        "        print('here', flush=True); time.sleep(60)\n"
        "with showing_images(lambda: nullcontext(LoadingCallbacks(decoded=stay))):\n"
        "    load_images(Dataset(name='folder', path=sys.argv[1], image_size=32))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(faces)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    (half,) = entries(cache_folder)
    assert half.endswith(".tmp")
    process.send_signal(signal.SIGKILL)
    process.wait()
    log = cache_folder / "images" / half / "chunks.jsonl"
    assert len(log.read_text().split("\n")) == 4, "one line per chunk, and an empty one before"
    save(faces / "99.png", 99)  # another set
    assert decoded(faces) == 13
    assert half in entries(cache_folder), "it may be continued"
    os.utime(log, (1, 1))
    save(faces / "99.png", 100)
    assert decoded(faces) == 13
    assert half not in entries(cache_folder)


def test_a_disk_that_is_too_small_is_noticed_beforehand(
    faces: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    class Usage:
        free = 36_863

    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: Usage)
    monkeypatch.setattr(decoded_chunks, "decode_to", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match=r"12 images of 32x32 take 0\.0 GiB(.|\n)*DCGAN_CACHE"):
        load_images(dataset(faces))
    assert entries(cache_folder) == []


def test_the_size_of_a_large_entry_is_said_beforehand(faces: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "_LARGE_ENTRY", 12 * 32 * 32 * 3)
    with pytest.warns(match=r"12 images of 32x32 take 0\.0 GiB in the cache, .* GiB free"):
        load_images(dataset(faces))


def load_slowly(folder: Path) -> None:
    """Load a set, and print how many images were decoded for it."""

    def slow(done: int, total: int) -> None:
        time.sleep(1)
        print(done, flush=True)

    with told(decoded=slow):
        load_images(dataset(folder))


def test_two_processes_build_a_set_once(faces: Path, tmp_path: Path):
    both = [fork(load_slowly, faces, folder=tmp_path) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said == ["", "12\n"]


def test_a_cache_that_cannot_be_written(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="DCGAN_CACHE"):
        load_images(dataset(faces))


def test_a_disk_that_fills_up_in_the_middle(faces: Path, cache_folder: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # the pixels are 36,864 bytes
    try:
        with pytest.raises(DataError, match=r"File too large(.|\n)*DCGAN_CACHE"):
            load_images(dataset(faces))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert entries(cache_folder) == []
    assert decoded(faces) == 12


def test_few_chunks_are_in_flight_whatever_the_size_of_the_set(
    faces: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parallel, "SERIAL_LIMIT", 0)
    monkeypatch.setattr(decoded_chunks, "CHUNK", 1)
    taken = 0

    class Watched(list[Path]):
        def __getitem__(self, part: Any) -> Any:
            nonlocal taken
            taken = part.start
            return super().__getitem__(part)

    files = Watched(sorted(faces.iterdir()) * 20)
    names = [str(number) for number in range(len(files))]
    collection = Collection(str(faces), files, names, (), None, lambda: "content")
    ahead: list[int] = []
    cache.load_cached(
        collection,
        ImageFormat((32, 32), 3, "crop"),
        0,
        lambda done, total: ahead.append(taken - done),
    )
    assert len(ahead) == 240
    assert max(ahead) < 4 * loky.cpu_count()


def test_the_fingerprint_is_that_of_the_pixels_however_processes_race() -> None:
    """Forty chunks of images that several processes write while the first are read."""
    images = np.random.default_rng(0).integers(0, 256, (40 * CHUNK, 28, 28), dtype=np.uint8)
    collection = Collection(
        path="memory",
        images=images,
        names=[f"image {number}" for number in range(len(images))],
        classes=(),
        labels=None,
        content=lambda: "race",
    )

    loaded = load_cached(collection, ImageFormat((28, 28), 1, "crop"), 0, silent)

    pixels = loaded.pixels.numpy()
    np.testing.assert_array_equal(pixels[:, 0], images)
    assert loaded.card.fingerprint == pixel_statistics([pixels], pixels.shape).fingerprint


def test_a_folder_that_links_to_itself_has_each_image_once(faces: Path) -> None:
    for name in ("all", "again"):
        (faces / name).symlink_to(".")
    (faces / "inner").mkdir()
    save(faces / "inner" / "x.png", 99)
    (faces / "inner" / "up").symlink_to("..")
    assert load_images(dataset(faces)).card.size == 13
