"""A run's folder is read, written and rewound without following links."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tracking.backends.local import open_tracker, read_events, read_fields, rewind, run_folders
from tracking.errors import StoreError, StoreWarning
from tracking.events import FIXED_NOISE, GENERATOR_ARCH, File, Image, Text
from tracking.run_files import image_files, run_files
from tracking.testing.sample_run import RUN, block, picture


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a text and two images."""
    journal = open_tracker(RUN, tmp_path / "store")
    for event in (block(1, 9), Text(GENERATOR_ARCH, "G"), picture(FIXED_NOISE, 3)):
        journal.write(event)
    journal.write(picture(FIXED_NOISE, 9))
    journal.close("interrupted")
    return journal.folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's that looks like the images and the artifacts of a run."""
    folder = tmp_path / "outside"
    (folder / "fixed_noise").mkdir(parents=True)
    for name in ("00000007.png", "fixed_noise/00000008.png", "private.txt", "private.toml"):
        (folder / name).write_bytes(b"secret")
    return folder


def link_images(run: Path, outside: Path) -> None:
    (run / "images").rename(run / "old")
    (run / "images").symlink_to(outside)


def link_a_series(run: Path, outside: Path) -> None:
    (run / "images" / "linked").symlink_to(outside / "fixed_noise")


def link_an_image(run: Path, outside: Path) -> None:
    (run / FIXED_NOISE / "00000008.png").symlink_to(outside / "00000007.png")


def link_artifacts(run: Path, outside: Path) -> None:
    (run / "artifacts" / "folder").symlink_to(outside)
    (run / "artifacts" / "text.txt").symlink_to(outside / "private.txt")
    (run / "artifacts" / "file.toml").symlink_to(outside / "private.toml")


def link_checkpoints(run: Path, outside: Path) -> None:
    (run / "checkpoints").symlink_to(outside)


LINKS = [link_images, link_a_series, link_an_image, link_artifacts, link_checkpoints]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.filterwarnings("ignore::tracking.errors.StoreWarning")
def test_nothing_is_read_written_or_deleted_through_a_link(
    run: Path, outside: Path, link: Callable[[Path, Path], None]
) -> None:
    before = {file: file.read_bytes() for file in outside.rglob("*") if file.is_file()}
    link(run, outside)
    for event in read_events(run):
        match event:
            case File(source=source):
                assert b"secret" not in source.read_bytes()
            case Text(content=content):
                assert "secret" not in content
            case Image(path, step):
                assert (path, step) in {(FIXED_NOISE, 3), (FIXED_NOISE, 9)}
    steps = run.joinpath("metrics.jsonl").read_bytes()
    with pytest.raises(StoreError, match="is a link"):
        rewind(run, 5)
    with pytest.raises(StoreError, match="is a link"):
        open_tracker(RUN, run.parent)
    assert run.joinpath("metrics.jsonl").read_bytes() == steps
    assert {file: file.read_bytes() for file in outside.rglob("*") if file.is_file()} == before


def test_what_is_left_out_is_told(run: Path, outside: Path) -> None:
    link_artifacts(run, outside)
    with pytest.warns(StoreWarning, match=r"text\.txt is a link and is not read"):
        assert run_files(run, "artifacts") == [run / "artifacts" / "Generator_arch.txt"]


@pytest.mark.parametrize("name", ["run.json", "config.json", "last.json", "metrics.jsonl"])
def test_a_file_of_a_run_that_is_a_link_is_not_read(run: Path, outside: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside / "private.toml")
    with pytest.raises(StoreError, match="is a link"):
        list(read_events(run))
        read_fields(run)
        open_tracker(RUN, run.parent)


def test_a_folder_that_is_a_link_is_no_run(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / run.name).symlink_to(run)
    assert run_folders(other) == []
    assert run_folders(run.parent) == [run]


def test_only_files_with_the_names_of_images_are_images(run: Path) -> None:
    for name in ("Thumbs.db", "00000020 copy.png", "20.png", "last.png", ".00000020.png"):
        (run / FIXED_NOISE / name).write_bytes(b"x")
    assert list(image_files(run)) == [(FIXED_NOISE, 3), (FIXED_NOISE, 9)]
    rewind(run, 5)
    assert list(image_files(run)) == [(FIXED_NOISE, 3)]
    assert (run / FIXED_NOISE / "Thumbs.db").exists()


def test_a_file_that_is_no_picture_is_left_out(run: Path) -> None:
    whole = (run / FIXED_NOISE / "00000003.png").read_bytes()
    for step, content in {4: b"x", 5: b"", 6: whole[:60], 7: whole[:-30]}.items():
        (run / FIXED_NOISE / f"{step:08d}.png").write_bytes(content)
    with pytest.warns(StoreWarning, match="at step 4 is left out: not a picture"):
        images = [event for event in read_events(run) if isinstance(event, Image)]
    assert [image.step for image in images] == [3, 9]
