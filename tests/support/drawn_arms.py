"""Runs of arms to be drawn, and what is read back from the artists of a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.comparison.arms import Arm
from analysis.plots.figure_file import FigureFile
from tracking.events import BATCH, EPOCH

METRICS = ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2")


def step_table(values: npt.NDArray[np.float64], steps_per_epoch: int = 0) -> pd.DataFrame:
    """A step table. values: (steps, 5), one column per metric; no epochs by default."""
    steps = np.arange(1, len(values) + 1)
    frame = pd.DataFrame({"run": "run", "step": steps})
    for position, metric in enumerate(METRICS):
        frame[f"{BATCH}/{metric}"] = values[:, position]
    if steps_per_epoch:
        ends = steps % steps_per_epoch == 0
        frame[f"{EPOCH}/number"] = np.where(ends, steps // steps_per_epoch, np.nan)
        for position, metric in enumerate(METRICS):
            means = pd.Series(values[:, position]).rolling(steps_per_epoch).mean()
            frame[f"{EPOCH}/{metric}"] = np.where(ends, means, np.nan)
    return frame


def arms_with_steps(
    counts: Sequence[int], epochs: int = 20, steps_per_epoch: int = 5
) -> tuple[list[Arm], dict[str, pd.DataFrame]]:
    """Arms with random runs.

    Args:
        counts: How many runs each arm has; their seeds are 0, 1, ...
        epochs: Of each run.
        steps_per_epoch: Of each run.

    Returns:
        The arms `arm 0`, `arm 1`, ... of runs `run-<arm>-<seed>`, and the runs' step tables.
    """
    generator = np.random.default_rng(0)
    arms, steps = [], {}
    for number, count in enumerate(counts):
        seeds = {f"run-{number}-{seed}": seed for seed in range(count)}
        for run in seeds:
            values = generator.uniform(0.2, 0.8, (epochs * steps_per_epoch, len(METRICS)))
            steps[run] = step_table(values, steps_per_epoch)
        arms.append(Arm.from_seeds(f"arm {number}", seeds))
    return arms, steps


def epoch_means(table: pd.DataFrame, metric: str) -> npt.NDArray[np.float64]:
    """The means of the epochs in a step table."""
    return table[f"{EPOCH}/{metric}"].dropna().to_numpy()


def line(axes: Axes, name: str) -> Line2D:
    """The only line of this name."""
    (drawn,) = [drawn for drawn in axes.lines if drawn.get_gid() == name]
    return drawn


def line_names(axes: Axes, beginning: str) -> list[str]:
    """The names of lines that begin so."""
    names = [str(drawn.get_gid()) for drawn in axes.lines]
    return [name for name in names if name.startswith(beginning)]


def note(picture: FigureFile) -> str:
    """The caption."""
    return picture.caption


def legend_texts(picture: FigureFile) -> list[str]:
    """The entries of the first panel's legend."""
    legend = picture.figure.axes[0].get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []
