"""The animations of a report: a training, and a walk through latent space."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.animation.files import as_webp
from analysis.animation.frames import Animation, training_animation, walk_animation
from analysis.plots.arm_grids import SIDE
from analysis.report.content import MovingPicture
from diagnosis.image_grids import Sides
from tracking.events import GRID_PADDING

BUDGET = 1_500_000
"""The maximum size of an animation, in bytes."""

_MAX_GRIDS, _GRIDS_PER_SECOND, _STEPS_PER_SECOND = 60, 8.0, 12.0
_LONGEST_EDGE = 544


def moving_training(run: str, files: Mapping[int, Path], sides: Sides) -> MovingPicture | None:
    """The grids of a run as an animation; None if there are fewer than two.

    Args:
        run: Its id.
        files: Step -> PNG file.
        sides: Height and width of one image, in pixels.

    Raises:
        OSError: A file cannot be read.
    """
    if len(files) < 2:
        return None
    height, width = (SIDE * (side + GRID_PADDING) + GRID_PADDING for side in sides)
    animation = training_animation(
        files,
        max_grids=_MAX_GRIDS,
        longest_edge=_LONGEST_EDGE,
        frames_per_second=_GRIDS_PER_SECOND,
        corner=(height, width),
    )
    return _moving(
        animation,
        name="training",
        label="all steps",
        alt=f"Images of the run {run} from the same noise, from its first grid to its last.",
        caption=f"In motion: {len(animation.frames)} of its {len(files)} grids.",
    )


def moving_walk(walk: npt.NDArray[np.uint8], seeds: Sequence[int], steps: int) -> MovingPicture:
    """A walk through latent space.

    Args:
        walk: uint8 (N, H, W, C), from seed to seed and back to the first.
        seeds: The seeds that the walk passes.
        steps: Number of images from one seed to the next.
    """
    animation = walk_animation(
        [walk], seeds, steps, longest_edge=_LONGEST_EDGE, frames_per_second=_STEPS_PER_SECOND
    )
    names = ", ".join(map(str, seeds))
    return _moving(
        animation,
        name="walk",
        label="walk",
        alt=f"One image that changes smoothly between those of the seeds {names}.",
        caption=f"A walk through latent space: from seed to seed, {names}, and back.",
    )


def _moving(
    animation: Animation, *, name: str, label: str, alt: str, caption: str
) -> MovingPicture:
    buffer = io.BytesIO()
    animation.frames[-1].save(buffer, format="PNG")
    return MovingPicture(name, label, alt, caption, as_webp(animation, BUDGET), buffer.getvalue())
