"""How runs ended: whole, collapsed or diverged, by rules that need no eye and no classifier.

They find what is gross. A generator that draws a few kinds of images well passes for whole.
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

    final: means over its last steps of `training/batch/...`. relative_variation: as the
    function of this name gives it, NaN where it is not known.
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
    """How much the images of a run's last grid differ, relative to its grid of real images.

    folder: of a local journal. image_size: pixels along a side of an image. count: of images in
    a grid. Returns 0 where all are the same, about 1 where they differ as
    real ones do, noise as well; NaN where there are no two such grids.
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
