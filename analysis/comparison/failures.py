"""How a training ended: whole, collapsed or diverged, by rules without an eye or a classifier.

They detect gross failures only. A generator that draws a few kinds of images well counts as whole.
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
"""A loss of D below which it is hardly ever wrong; G then gets no useful gradient (Arjovsky and
Bottou 2017, section 2)."""

ALIKE = 0.2
"""G's images are called alike if they vary less than this share of the real images' variation."""

_LOSSES_WITH_ZERO = ("bce", "softmax", "hinge")
"""Losses of D that approach zero if D is always right."""

RULE = (
    f"Collapsed: at the end, D's loss is below {WON} or the images vary less than {ALIKE} times as "
    "much as real ones. Diverged: a loss is not finite."
)


def training_outcome(
    fields: Mapping[str, Value], final_means: Mapping[str, float], relative_variation: float
) -> TrainingOutcome:
    """How the training of one run ended.

    Args:
        fields: Of the run, by path.
        final_means: Metric path -> mean over the last steps; the losses of batches count.
        relative_variation: As `relative_variation` returns it; NaN if it is not known.
    """
    paths = (f"{BATCH}/Gloss", f"{BATCH}/Dloss")
    losses = [final_means[path] for path in paths if path in final_means]
    if not np.isfinite(losses).all():
        return "diverged"
    discriminator_won = (
        fields.get(f"{CONFIG}/loss/name") in _LOSSES_WITH_ZERO
        and final_means.get(f"{BATCH}/Dloss", np.inf) < WON
    )
    return "collapsed" if discriminator_won or relative_variation < ALIKE else "whole"


def relative_variation(folder: Path, image_size: int, count: int) -> float:
    """How much the images of a run's last grid vary, relative to its grid of real images.

    Args:
        folder: Of the run's local journal.
        image_size: Pixels along a side of one image.
        count: Number of images in a grid.

    Returns:
        0 if all images are the same, about 1 if they vary as real ones do, as noise does, too;
        NaN if the run has no two such grids.
    """
    grids = sorted((folder / FIXED_NOISE).glob("*.png"))
    real_grids = sorted((folder / REAL).glob("*.png"))
    if not grids or not real_grids:
        return float("nan")
    generated, real = (
        variation(split_grid(_read(files[-1]), image_size, count)) for files in (grids, real_grids)
    )
    return generated / real if real else float("nan")


def _read(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with PIL.Image.open(file) as picture:
        return np.asarray(picture)
