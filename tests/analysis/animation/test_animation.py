"""Animations: order, captions, how long frames stay, and all formats read back."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest

from analysis.animation.files import VideoError, as_webp, save_animation
from analysis.animation.frames import (
    LAST_SECONDS,
    Animation,
    training_animation,
    walk_animation,
)
from tracking.errors import StoreError, StoreWarning

STRIP = 28


def write_grids(folder: Path, steps: range, channels: int = 3, edge: int = 300) -> dict[int, Path]:
    """Grids of one brightness each, which grows with the step."""
    files = {step: folder / f"{step:08d}.png" for step in steps}
    for place, file in enumerate(files.values()):
        shape = (edge, edge, 3) if channels == 3 else (edge, edge)
        PIL.Image.fromarray(np.full(shape, 20 * place, np.uint8)).save(file)
    return files


def animation(files: dict[int, Path], most: int = 100, longest_edge: int = 800) -> Animation:
    return training_animation(files, max_grids=most, longest_edge=longest_edge, frames_per_second=8)


def levels(frames: list[PIL.Image.Image]) -> list[int]:
    """The brightness of the middle of each frame."""
    return [frame.convert("L").getpixel((frame.width // 2, 40)) for frame in frames]  # type: ignore[misc]


@pytest.mark.parametrize("channels", [1, 3])
def test_grids_are_shown_in_order_and_the_last_one_stays(channels: int, tmp_path: Path) -> None:
    made = animation(write_grids(tmp_path, range(0, 50, 10), channels))
    assert {frame.mode for frame in made.frames} == {"L" if channels == 1 else "RGB"}
    assert levels(list(made.frames)) == [0, 20, 40, 60, 80]
    assert made.seconds == (1 / 8, 1 / 8, 1 / 8, 1 / 8, LAST_SECONDS)
    assert {frame.size for frame in made.frames} == {(300, 300 + STRIP)}


def test_the_step_and_how_far_it_is_are_below_each_grid(tmp_path: Path) -> None:
    made = animation(write_grids(tmp_path, range(0, 30, 10)))
    strips = [np.asarray(frame.convert("L"))[300:] for frame in made.frames]
    texts = [strip[: STRIP - 3] for strip in strips]
    assert all(text.max() > 200 for text in texts)
    assert not np.array_equal(texts[1], texts[2])
    lines = [(strip[-1] > 200).sum() for strip in strips]
    assert lines == [0, 151, 300]


def test_of_many_grids_some_are_shown_with_the_first_and_the_last(tmp_path: Path) -> None:
    made = animation(write_grids(tmp_path, range(10)), most=4)
    assert levels(list(made.frames)) == [0, 60, 120, 180]


def test_small_grids_are_enlarged_by_whole_pixels_and_large_ones_reduced(tmp_path: Path) -> None:
    small = animation(write_grids(tmp_path, range(2), edge=50))
    assert small.frames[0].size == (300, 300 + STRIP)
    large = animation(write_grids(tmp_path, range(2), edge=300), longest_edge=100)
    assert large.frames[0].size == (100, 100 + STRIP)


def test_a_grid_of_another_size_is_left_out(tmp_path: Path) -> None:
    files = write_grids(tmp_path, range(3))
    PIL.Image.new("RGB", (10, 10)).save(files[1])
    with pytest.warns(StoreWarning, match=r"00000001.png is left out"):
        made = animation(files)
    assert len(made.frames) == 2


def test_a_walk_names_its_seeds_and_shows_all_images() -> None:
    images = np.arange(6, dtype=np.uint8).repeat(64 * 64).reshape(6, 64, 64, 1) * 30
    made = walk_animation(
        [images[:4], images[4:]], [7, 9, 11], 2, longest_edge=800, frames_per_second=15
    )
    assert levels(list(made.frames)) == [0, 30, 60, 90, 120, 150]
    assert made.frames[0].size == (256, 256 + STRIP)
    captions = [np.asarray(frame)[256 : 256 + STRIP - 3] for frame in made.frames]
    assert len({caption.tobytes() for caption in captions}) == 6, "seed 7, seed 7 to 9, ..."


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_pictures_that_move_are_read_back(ending: str, tmp_path: Path) -> None:
    made = animation(write_grids(tmp_path, range(4)))
    file = tmp_path / "new" / f"a.{ending}"
    save_animation(made, file)
    with PIL.Image.open(file) as picture:
        assert picture.info["loop"] == 0
        frames, durations = [], []
        for frame in PIL.ImageSequence.Iterator(picture):
            frames.append(frame.convert("RGB"))
            frame.load()
            durations.append(frame.info["duration"])
    assert np.allclose(levels(frames), [0, 20, 40, 60], atol=3)
    assert durations == pytest.approx([125, 125, 125, 2000], abs=10)


@pytest.mark.parametrize("rate", [8, 15, 30])
def test_a_gif_takes_as_long_as_its_frames(rate: int, tmp_path: Path) -> None:
    """GIF counts hundredths of a second, of which 1/15 s is 6.67."""
    frames = tuple(PIL.Image.new("L", (20, 20), 4 * number) for number in range(60))
    save_animation(Animation(frames, (1 / rate,) * 60), tmp_path / "walk.gif")
    with PIL.Image.open(tmp_path / "walk.gif") as read:
        shown = sum(frame.info["duration"] for frame in PIL.ImageSequence.Iterator(read))
    assert shown == pytest.approx(1000 * 60 / rate, abs=10)


def test_a_video_is_read_back(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV, of the extra video, is not installed")
    save_animation(animation(write_grids(tmp_path, range(4), edge=301)), tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 30
    assert len(frames) == round(30 * (3 / 8 + LAST_SECONDS))
    assert frames[0].size == (302, 330)
    shown = levels(frames)
    assert np.allclose([shown[0], shown[5], shown[9], shown[-1]], [0, 20, 40, 60], atol=4)


def test_without_pyav_a_video_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r"pip install .* -e '\.\[video\]'"):
        save_animation(Animation((), ()), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_an_animation_for_a_page_has_a_bounded_size_and_keeps_the_last_frame() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (9, 128, 128, 3), np.uint8)
    frames = tuple(PIL.Image.fromarray(pixels) for pixels in noise)
    made = Animation(frames, (0.1,) * 8 + (2.0,))
    whole = as_webp(made, 10**9)
    part = as_webp(made, len(whole) // 2)
    assert len(part) <= len(whole) // 2

    def last(content: bytes) -> np.ndarray:
        *_, final = PIL.ImageSequence.all_frames(PIL.Image.open(io.BytesIO(content)))
        return np.asarray(final.convert("RGB"))

    assert np.array_equal(last(part), last(whole))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    made = animation(write_grids(tmp_path, range(2)))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"a.gif cannot be written"):
        save_animation(made, tmp_path / "file" / "a.gif")


@pytest.mark.parametrize("ending", ["gif", "webp"])
@pytest.mark.parametrize("per_second", [15.0, 24.0, 30.0])
def test_an_animation_lasts_as_long_as_it_should(
    per_second: float, ending: str, tmp_path: Path
) -> None:
    """A GIF counts in hundredths of a second, of which 15 frames in a second need 6.7 each."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 16, 16, 1), np.uint8)
    walk = walk_animation([pixels], [1, 2], 30, longest_edge=256, frames_per_second=per_second)
    file = tmp_path / f"walk.{ending}"
    save_animation(walk, file)
    with PIL.Image.open(file) as picture:
        shown = []
        for frame in PIL.ImageSequence.Iterator(picture):
            frame.load()  # WebP's duration is known only then
            shown.append(frame.info["duration"])
    assert sum(shown) / 1000 == pytest.approx(60 / per_second, abs=0.01)
