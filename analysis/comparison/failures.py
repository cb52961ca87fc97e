"""How a training ended: whole, collapsed, diverged or failed, by rules without an eye.

They detect gross failures only. A generator that draws a few kinds of images well counts as whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import PIL.Image

from analysis.image_files import image_files
from analysis.image_grids import Sides, split_grid, variation
from tracking.events import BATCH, CONFIG, FIXED_NOISE, REAL, SYS, Value

TrainingOutcome: TypeAlias = Literal["whole", "collapsed", "diverged", "failed", "unknown"]

FAILURES: tuple[TrainingOutcome, ...] = ("collapsed", "diverged", "failed")
"""The outcomes that count as a failure."""

MARGIN = 0.01
"""D tells images apart if its mean outputs are this near to what its loss asks for; G then gets
hardly any gradient (Arjovsky and Bottou 2017, section 2)."""

ALIKE = 0.2
"""G's images are called alike if they vary less than this share of the real images' variation."""

UNTRAINED_STEPS = 1_000
"""Images that have not varied yet after fewer steps are those of an untrained G, not collapsed."""

TRAINING_METRICS = tuple(f"{BATCH}/{name}" for name in ("Gloss", "Dloss", "D_x", "D_G_z1"))
"""What the rules read of a run, averaged over its last steps."""

RULE = (
    f"Collapsed: at the end, G's images vary less than {ALIKE} times as much as real ones, or D "
    f"tells real images from fakes by outputs within {MARGIN} of what its loss asks for. Diverged: "
    "a loss or an output of D is not finite. Failed: the run ended with an error. Unknown: neither "
    f"outputs of D nor images were kept, or G was still untrained after {UNTRAINED_STEPS:,} steps "
    "or fewer."
)


def training_outcome(
    fields: Mapping[str, Value],
    final_means: Mapping[str, float],
    relative_variations: Mapping[int, float],
) -> TrainingOutcome:
    """How the training of one run ended.

    Args:
        fields: Of the run, by path.
        final_means: Path of each of `TRAINING_METRICS` that the run has -> mean over the last
            steps.
        relative_variations: As `relative_variations` returns them.
    """
    if fields.get(f"{SYS}/status") == "failed":
        return "failed"
    if not np.isfinite(list(final_means.values())).all():
        return "diverged"
    won = _discriminator_won(fields, final_means)
    if won:
        return "collapsed"
    if not relative_variations:
        return "unknown" if won is None else "whole"
    last = max(relative_variations)
    if relative_variations[last] >= ALIKE:
        return "whole"
    is_untrained = last < UNTRAINED_STEPS and max(relative_variations.values()) < ALIKE
    return "unknown" if is_untrained else "collapsed"


def _discriminator_won(
    fields: Mapping[str, Value], final_means: Mapping[str, float]
) -> bool | None:
    """Whether D's mean outputs reach what its loss asks for; None if that is not known."""
    real, fake = (final_means.get(f"{BATCH}/{name}") for name in ("D_x", "D_G_z1"))
    targets = _targets(fields)
    if real is None or fake is None or targets is None:
        return None
    return real >= targets[0] - MARGIN and fake <= targets[1] + MARGIN


def _targets(fields: Mapping[str, Value]) -> tuple[float, float] | None:
    """The outputs for real images and for fakes at which D's loss is smallest; None if unbounded.

    Outputs are probabilities for bce and softmax, and plain numbers for the other losses.
    """
    match fields.get(f"{CONFIG}/loss/name"):
        case "bce" | "softmax" | "least_squares":
            smoothing = fields.get(f"{CONFIG}/stabilisers/label_smoothing")
            return 1 - (smoothing if isinstance(smoothing, float) else 0.0), 0.0
        case "hinge":
            return 1.0, -1.0
        case _:
            return None


def relative_variations(folder: Path, sides: Sides, count: int) -> Mapping[int, float]:
    """How much the images of a run's grids vary, relative to its grid of real images.

    Args:
        folder: Of the run's local journal.
        sides: Height and width of one image, in pixels.
        count: Number of images in a grid.

    Returns:
        Step -> 0 if all images are the same, about 1 if they vary as real ones do, as noise does,
        too. Only the last step if its images differ, else all. Empty if the run has no grids, or
        no real images that differ.
    """
    grids, real_grids = image_files(folder, FIXED_NOISE), image_files(folder, REAL)
    if not grids or not real_grids:
        return {}
    real = variation(split_grid(_read(real_grids[max(real_grids)]), sides, count))
    if not real:
        return {}

    def relative(step: int) -> float:
        return variation(split_grid(_read(grids[step]), sides, count)) / real

    last = max(grids)
    at_end = {last: relative(last)}
    if at_end[last] >= ALIKE:
        return at_end
    return {step: relative(step) for step in grids if step != last} | at_end


def _read(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with PIL.Image.open(file) as picture:
        return np.asarray(picture)
