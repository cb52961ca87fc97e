"""The events of a run, and the paths by which every store knows them.

A run is a stream of five kinds of events. The engine emits them, each backend
writes them down in its own way, and each backend's reader gives them back. The
paths are those of the published Neptune experiment: one vocabulary everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONFIG = "config"
SYS = "sys"
TRACKERS = "sys/trackers"
SWEEP = "sys/sweep"
BATCH = "training/batch"
EPOCH = "training/epoch"
EVALUATION = "evaluation"
PROBES = "probes"
USAGE = "system"
IMAGES = "images"
ARTIFACTS = "io_files/artifacts"

GENERATOR_ARCH = f"{ARTIFACTS}/Generator_arch"
DISCRIMINATOR_ARCH = f"{ARTIFACTS}/Discriminator_arch"
GIT_DIFF = f"{ARTIFACTS}/git_diff"
FIXED_NOISE = f"{IMAGES}/fixed_noise"
REAL = f"{IMAGES}/real"
DATASET = f"{IMAGES}/dataset"

GRID_PADDING = 2
"""Pixels between the images of a grid and around them, for who makes grids and who cuts them."""

Scalar: TypeAlias = bool | int | float | str | None
Value: TypeAlias = Scalar | Sequence[Scalar]


@dataclass(frozen=True)
class Fields:
    """Single values by path: `config/...` (immutable once set) and `sys/...`.

    A run that is part of a sweep has `sys/sweep/id`, `sys/sweep/name` and `sys/sweep/arm`.
    `sys/tags` is a list of strings; a later event overrides an earlier one.
    """

    values: Mapping[str, Value]


@dataclass(frozen=True)
class Metrics:
    """A block of steps: `values[path][i]` was measured at `steps[i]`, at `times[i]`.

    steps: increasing; the number of finished training steps, from 1.
    times: milliseconds since the Unix epoch.
    values: each sequence as long as `steps`; NaN and infinities are values.
    """

    steps: Sequence[int]
    times: Sequence[int]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, eq=False)
class Image:
    """One picture of a series.

    pixels: uint8 array (H, W, C), C = 1 or 3, values 0 to 255.
    time: milliseconds since the Unix epoch.
    """

    path: str
    step: int
    time: int
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Text:
    """A text document under `io_files/artifacts/`, such as an architecture dump."""

    path: str
    content: str


@dataclass(frozen=True)
class File:
    """A file under `io_files/artifacts/`; the path carries no suffix, the source's is kept."""

    path: str
    source: Path


Event: TypeAlias = Fields | Metrics | Image | Text | File
