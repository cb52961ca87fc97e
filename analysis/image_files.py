"""The image files of a run, and an evenly spaced choice of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

from tracking import run_files
from tracking.errors import warn


def image_files(folder: Path, path: str) -> dict[int, Path]:
    """Step -> PNG file of one series of images of a run.

    folder: The run's folder. path: Of the series, such as `images/fixed_noise`.
    """
    files = run_files.image_files(folder, path)
    return {step: file for (_, step), file in files.items() if _is_picture(file)}


def _is_picture(file: Path) -> bool:
    try:
        with PIL.Image.open(file) as picture:
            picture.verify()
    except Exception:  # decoders raise almost anything on a damaged file
        warn(f"{file} is left out: not a picture.")
        return False
    return True


def read_picture(file: Path) -> npt.NDArray[np.uint8]:
    """The pixels, uint8 (H, W) or (H, W, C). Raises OSError if the file is not an image."""
    with PIL.Image.open(file) as picture:
        return np.asarray(picture)


def evenly_spaced(steps: Sequence[int], count: int) -> list[int]:
    """At most `count` of the sorted `steps`: the first, the last, and others evenly between."""
    if len(steps) <= count:
        return list(steps)
    targets = np.linspace(steps[0], steps[-1], count)
    nearest = np.abs(np.asarray(steps)[:, None] - targets).argmin(axis=0)
    return [steps[index] for index in np.unique(nearest)]
