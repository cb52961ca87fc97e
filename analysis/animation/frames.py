"""The frames of animations: pictures with a caption and a progress line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from analysis.image_files import evenly_spaced
from tracking.errors import warn

LAST_SECONDS = 2.0
"""Seconds for which the last grid of a training is shown."""

_SHORTEST_EDGE = 256
"""Smaller pictures are enlarged, so that their caption fits below them."""

_STRIP, _FONT_SIZE, _LINE = 28, 15, 3
_BACK, _INK, _FAINT = 0, 235, 90


@dataclass(frozen=True, eq=False)
class Animation:
    """Frames of one size and one mode, `L` or `RGB`.

    Attributes:
        frames: In order.
        seconds: How long each is shown.
    """

    frames: tuple[PIL.Image.Image, ...]
    seconds: tuple[float, ...]


def training_animation(
    files: Mapping[int, Path],
    *,
    max_grids: int,
    longest_edge: int,
    frames_per_second: float,
    corner: tuple[int, int] | None = None,
) -> Animation:
    """The grids of a run in training order, each above its step; the last is shown longer.

    Args:
        files: Step -> PNG file, as `image_files.image_files` finds them; at least one.
        max_grids: How many grids to show at most: evenly spaced, with the first and the last.
        longest_edge: The longest edge of a frame, in pixels; larger grids are scaled down.
        frames_per_second: How many grids are shown in a second.
        corner: Height and width, in pixels, of the upper left part to show; None for whole grids.

    Raises:
        OSError: A file cannot be read.
    """
    steps = evenly_spaced(sorted(files), max_grids)
    grids = {step: _read(files[step], corner) for step in steps}
    last = grids[steps[-1]]
    for step in [step for step in steps if grids[step].size != last.size]:
        warn(f"{files[step]} is left out: its size is not that of the last grid.")
        del grids[step]
    mode = "L" if all(grid.mode == "L" for grid in grids.values()) else "RGB"
    final = max(steps[-1], 1)
    frames = tuple(
        _captioned(
            grid.convert(mode),
            f"step {step:,} of {final:,}" if step else "before training",
            step / final,
            longest_edge,
        )
        for step, grid in grids.items()
    )
    seconds = [1 / frames_per_second] * len(frames)
    seconds[-1] = LAST_SECONDS
    return Animation(frames, tuple(seconds))


def walk_animation(
    batches: Iterable[npt.NDArray[np.uint8]],
    seeds: Sequence[int],
    steps: int,
    *,
    longest_edge: int,
    frames_per_second: float,
) -> Animation:
    """A walk from seed to seed and back to the first; each frame names its seeds.

    Args:
        batches: The images of the walk, uint8 (N, H, W, C).
        seeds: The seeds that the walk passes, in this order.
        steps: Number of images from one seed to the next.
        longest_edge: The longest edge of a frame, in pixels; larger images are scaled down.
        frames_per_second: How many images are shown in a second.
    """
    frames: list[PIL.Image.Image] = []
    for pixels in batches:
        for image in pixels:
            stretch, step = divmod(len(frames), steps)
            start, end = seeds[stretch], seeds[(stretch + 1) % len(seeds)]
            picture = PIL.Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
            caption = f"seed {start} to {end}" if step else f"seed {start}"
            frames.append(_captioned(picture, caption, step / steps, longest_edge))
    return Animation(tuple(frames), (1 / frames_per_second,) * len(frames))


def _read(file: Path, corner: tuple[int, int] | None) -> PIL.Image.Image:
    with PIL.Image.open(file) as picture:
        grid = picture.convert("L" if picture.mode in ("L", "1") else "RGB")
    if corner is None:
        return grid
    height, width = corner
    return grid.crop((0, 0, min(width, grid.width), min(height, grid.height)))


def _captioned(
    picture: PIL.Image.Image, caption: str, share: float, longest_edge: int
) -> PIL.Image.Image:
    """A picture above a strip with its caption and a line that grows with `share`, 0 to 1."""
    resized = _resized(picture, longest_edge)
    width, height = resized.size
    frame = PIL.Image.new(picture.mode, (width, height + _STRIP), _grey(picture.mode, _BACK))
    frame.paste(resized, (0, 0))
    draw = PIL.ImageDraw.Draw(frame)
    font = PIL.ImageFont.load_default(_FONT_SIZE)
    middle = height + (_STRIP - _LINE) / 2
    draw.text((6, middle), caption, _grey(picture.mode, _INK), font, anchor="lm")
    top, bottom = height + _STRIP - _LINE, height + _STRIP - 1
    draw.rectangle((0, top, width - 1, bottom), _grey(picture.mode, _FAINT))
    if share > 0:
        draw.rectangle((0, top, round(share * (width - 1)), bottom), _grey(picture.mode, _INK))
    return frame


def _resized(picture: PIL.Image.Image, longest_edge: int) -> PIL.Image.Image:
    edge = max(picture.size)
    if edge > longest_edge:
        size = [max(1, round(side * longest_edge / edge)) for side in picture.size]
        return picture.resize((size[0], size[1]), PIL.Image.Resampling.LANCZOS)
    scale = max(1, min(-(-_SHORTEST_EDGE // picture.width), longest_edge // edge))
    width, height = picture.size
    return picture.resize((scale * width, scale * height), PIL.Image.Resampling.NEAREST)


def _grey(mode: str, level: int) -> int | tuple[int, int, int]:
    return level if mode == "L" else (level, level, level)
