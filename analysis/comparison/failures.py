"""How trainings ended (whole, collapsed or diverged), by rules that need no eye and no classifier.

The rules find gross failures only. A generator that draws a few kinds of images well counts as
whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import PIL.Image

from analysis.image_grids import split_grid, variation
from tracking.events import BATCH, CONFIG, FIXED_NOISE, REAL, Value

TrainingOutcome: TypeAlias = Literal["whole", "collapsed", "diverged"]

WON = 0.01
"""A loss of D below which it is hardly ever wrong: what then happens to G is told by Arjovsky and
Bottou 2017, section 2."""

ALIKE = 0.2
"""A share of the real images' variation below which G's are called alike."""

_LOSSES_WITH_ZERO = ("bce", "softmax", "hinge")
RULE = (
    f"Collapsed: D's loss under {WON} at the end, or images that vary less than {ALIKE} times as "
    "much as real ones. Diverged: a loss that is not finite."
)


def ending(
    fields: Mapping[str, Value], final: Mapping[str, float], relative_variation: float
) -> TrainingOutcome:
    """How one run ended.

    Args:
        fields: The run's fields; of these `config/loss/name` is read.
        final: Means of `training/batch/...` over the run's last steps.
        relative_variation: What the function of this name returns; NaN if it is unknown.
    """
    losses = [final[f"{BATCH}/{name}"] for name in ("Gloss", "Dloss") if f"{BATCH}/{name}" in final]
    if not np.isfinite(losses).all():
        return "diverged"
    won = (
        fields.get(f"{CONFIG}/loss/name") in _LOSSES_WITH_ZERO
        and final.get(f"{BATCH}/Dloss", np.inf) < WON
    )
    return "collapsed" if won or relative_variation < ALIKE else "whole"


def relative_variation(folder: Path, image_size: int, count: int) -> float:
    """How much the images of a run's last grid differ, relative to those of its real grid.

    Args:
        folder: The folder of the run's local journal.
        image_size: Pixels along a side of an image.
        count: Images in a grid.

    Returns:
        0 if all images are the same, about 1 if they differ as much as real ones do (as noise
        does too), NaN if the run lacks either grid.
    """
    grids = sorted((folder / FIXED_NOISE).glob("*.png"))
    real = sorted((folder / REAL).glob("*.png"))
    if not grids or not real:
        return float("nan")
    generated, given = (
        variation(split_grid(_read(files[-1]), image_size, count)) for files in (grids, real)
    )
    return generated / given if given else float("nan")


def _read(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with PIL.Image.open(file) as picture:
        return np.asarray(picture)
