"""Journals of runs to be drawn, and what is read back from the artists of a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots.style import caption_of
from tracking.backends.local import Journal
from tracking.events import BATCH, EPOCH, FIXED_NOISE, REAL, Fields, Image, Metrics
from tracking.tracker import Run

METRICS = ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2")
NOW = 1_760_000_000_000


def grey_grid(level: int, channels: int = 1) -> npt.NDArray[np.uint8]:
    """A picture of one grey, uint8 (66, 66, channels)."""
    return np.full((66, 66, channels), level, np.uint8)


def coloured_grid(colour: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """A picture of one colour, uint8 (66, 66, 3)."""
    return np.full((66, 66, 3), colour, np.uint8)


def random_values(length: int) -> npt.NDArray[np.float64]:
    """(length, 5), one column per metric of METRICS, in (0.2, 0.8)."""
    return np.random.default_rng(1).uniform(0.2, 0.8, size=(length, len(METRICS)))


def write_run(
    folder: Path,
    values: npt.NDArray[np.float64],
    steps_per_epoch: int = 100,
    images: dict[int, npt.NDArray[np.uint8]] | None = None,
    real: npt.NDArray[np.uint8] | None = None,
    name: str = "first",
) -> Path:
    """Write the journal of a finished run; a last epoch that is not full has no means.

    Args:
        folder: The run's folder; its name is the run's id.
        values: Of the batches, (steps, 5), one column per metric of METRICS.
        steps_per_epoch: After how many steps the means of an epoch are written.
        images: Step -> grid of generated images, uint8 (H, W, C); none by default.
        real: Grid of real images, uint8 (H, W, C); none by default.
        name: Of the run.

    Returns:
        `folder`.
    """
    journal = Journal(folder, Run(folder.name, name, NOW))
    journal.write(Fields({"sys/status": "running", "sys/recipe": "digits"}))
    for start in range(0, len(values), steps_per_epoch):
        block = values[start : start + steps_per_epoch]
        steps = list(range(start + 1, start + len(block) + 1))
        columns = {f"{BATCH}/{name}": block[:, i].tolist() for i, name in enumerate(METRICS)}
        journal.write(Metrics(steps, [NOW + step for step in steps], columns))
        if len(block) == steps_per_epoch:
            means = {f"{EPOCH}/{name}": [block[:, i].mean()] for i, name in enumerate(METRICS)}
            number = {f"{EPOCH}/number": [float(steps[-1] // steps_per_epoch)]}
            journal.write(Metrics(steps[-1:], [NOW + steps[-1]], number | means))
    for step, pixels in (images or {}).items():
        journal.write(Image(FIXED_NOISE, step, NOW, pixels))
    if real is not None:
        journal.write(Image(REAL, 0, NOW, real))
    journal.close("finished")
    return folder


def line(axes: Axes, name: str) -> Line2D:
    """The only line of this name."""
    (drawn,) = [drawn for drawn in axes.lines if drawn.get_gid() == name]
    return drawn


def line_data(axes: Axes, name: str) -> tuple[list[float], list[float]]:
    """x and y of a line."""
    x, y = line(axes, name).get_data()
    return np.asarray(x).tolist(), np.asarray(y).tolist()


def legend_texts(axes: Axes) -> list[str]:
    """The entries of the legend."""
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def title_and_note(figure: Figure) -> str:
    """Title and caption in one line."""
    title, note = figure.get_suptitle(), caption_of(figure)
    return f"{title}\n{note}".replace("\n", " ")
