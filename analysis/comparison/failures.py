"""How a training ended (whole, collapsed, diverged or failed), judged by fixed rules.

They detect gross failures only. A generator that draws a few kinds of images well counts as whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from analysis.image_files import image_files, read_picture
from diagnosis.evidence import Facts, Window
from diagnosis.findings import ending
from diagnosis.image_grids import (
    GridReading,
    Sides,
    count_real,
    image_statistics,
    read_grid,
    split_grid,
)
from diagnosis.readings import Judgement
from diagnosis.rules import ALIKE, OPENING_STEPS, RULES, TWINS, WON
from tracking.events import BATCH, FIXED_NOISE, NETWORKS, REAL, SYS, Value

TrainingOutcome: TypeAlias = Literal["whole", "collapsed", "diverged", "failed", "unknown"]

FAILURES: tuple[TrainingOutcome, ...] = ("collapsed", "diverged", "failed")
"""The outcomes that count as a failure."""

TRAINING_METRICS = (
    *(f"{BATCH}/{name}" for name in ("Gloss", "Dloss", "D_x", "D_G_z1")),
    *(f"{NETWORKS}/{name}" for name in ("G_gradient_norm", "D_gradient_norm")),
)
"""The metrics that the rules read, averaged over a run's last steps."""

RULE = (
    f"Collapsed: at the end, D(x) and D(G(z)) are within {WON:.0%} of D's targets, or G's images "
    f"vary less than {ALIKE} times as much as real ones, or the nearest neighbour of each is less "
    f"than {TWINS} times as far away as among real ones. Diverged: a loss, an output of D or a "
    "gradient is not finite. Failed: the run ended with an error, or a rule that is none of these "
    "stopped it. Unknown: neither outputs of D nor images were kept, or G was still untrained "
    f"after at most {OPENING_STEPS:,} steps."
)


def training_outcome(
    fields: Mapping[str, Value],
    final_means: Mapping[str, float],
    grids: Sequence[GridReading],
) -> TrainingOutcome:
    """How the training of one run ended, by the rules of `diagnosis` over its last steps.

    Args:
        fields: The run's fields by path.
        final_means: Path of each of `TRAINING_METRICS` that the run has -> mean over the last
            steps.
        grids: As `last_grids` returns them.
    """
    status = fields.get(f"{SYS}/status")
    if status == "failed":
        return "failed"
    means = {path.rpartition("/")[2]: value for path, value in final_means.items()}
    last = max(OPENING_STEPS, grids[-1].step if grids else 0)
    window = Window(first=last, last=last, means=means, grids=grids)
    readings = {
        name: rule.read(Facts(fields), window) for name, rule in RULES.items() if rule.fatal
    }
    judged = {name: reading for name, reading in readings.items() if isinstance(reading, Judgement)}
    if outcome := ending(name for name, reading in judged.items() if reading.holds):
        return outcome
    if status == "stopped":
        return "failed"
    judged_outcomes = {RULES[name].fatal for name in judged}
    is_untrained = bool(grids) and grids[-1].variation < ALIKE
    return "unknown" if is_untrained or "collapsed" not in judged_outcomes else "whole"


def last_grids(folder: Path, sides: Sides, count: int, size: object = None) -> list[GridReading]:
    """The grids of a run beside its grid of real images.

    Args:
        folder: The folder of the run's local journal.
        sides: Height and width of one image, in pixels.
        count: Number of images in a grid.
        size: What the run recorded as the number of its real images, for `count_real`.

    Returns:
        Only the last if its images differ, else all. Empty if the run has no grids of such images,
        or no real images that differ.
    """
    files, real_files = image_files(folder, FIXED_NOISE), image_files(folder, REAL)
    if not files or not real_files:
        return []
    real_count = count_real(count, size)
    real_images = split_grid(read_picture(real_files[max(real_files)]), sides, real_count)
    if not len(real_images):
        return []
    real = image_statistics(real_images)

    def reading(step: int) -> GridReading | None:
        images = split_grid(read_picture(files[step]), sides, count)
        if not len(images):
            return None
        return read_grid(step, image_statistics(images), real, with_spectrum=False)

    last = reading(max(files))
    if last is None:
        return []
    if last.variation >= ALIKE:
        return [last]
    earlier = (reading(step) for step in sorted(files) if step != last.step)
    return [*(each for each in earlier if each is not None), last]
