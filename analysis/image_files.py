"""The image files of a run, and an even choice of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def image_files(folder: Path, path: str) -> dict[int, Path]:
    """The pictures of one series of the run in `folder`, by step.

    path: such as `images/fixed_noise`.
    """
    return {int(file.stem): file for file in sorted((folder / path).glob("[!.]*.png"))}


def evenly_spaced(steps: Sequence[int], count: int) -> list[int]:
    """At most `count` of the sorted `steps`, the first and the last, the others evenly between."""
    if len(steps) <= count:
        return list(steps)
    targets = np.linspace(steps[0], steps[-1], count)
    nearest = np.abs(np.asarray(steps)[:, None] - targets).argmin(axis=0)
    return [steps[index] for index in np.unique(nearest)]
