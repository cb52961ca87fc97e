"""The events of a run, and the paths under which every store keeps them.

A run is a stream of five kinds of events. The engine emits them, each backend writes them in its
own way and reads them back as events. The paths are those of the published Neptune experiment,
the same in every store.
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
IMPORTED = "sys/imported_from"
SWEEP = "sys/sweep"
BATCH = "training/batch"
EPOCH = "training/epoch"
NETWORKS = "training/networks"
EVALUATION = "evaluation"
PROBES = "probes"
HEALTH = "health"
RULES_THAT_HOLD = f"{HEALTH}/holds"
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
"""Pixels between and around the images of a grid; used to make grids and to cut them apart."""

Scalar: TypeAlias = bool | int | float | str | None
Value: TypeAlias = Scalar | Sequence[Scalar]


@dataclass(frozen=True)
class Fields:
    """Single values by path: `config/...` (immutable once set) and `sys/...`.

    A run that is part of a sweep has `sys/sweep/id`, `sys/sweep/name` and `sys/sweep/arm`.
    `sys/tags` is a list of strings; a later event overrides an earlier one.

    Attributes:
        values: The values by path.
    """

    values: Mapping[str, Value]


@dataclass(frozen=True)
class Metrics:
    """A block of steps: `values[path][i]` was measured at step `steps[i]`, at time `times[i]`.

    Attributes:
        steps: Numbers of finished training steps, from 1, increasing.
        times: Milliseconds since the Unix epoch.
        values: The values by path, each sequence as long as `steps`; NaN and infinities are values.
    """

    steps: Sequence[int]
    times: Sequence[int]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, eq=False)
class Image:
    """One picture of a series.

    Attributes:
        path: The path of the series, below `images/`.
        step: The number of finished training steps.
        time: Milliseconds since the Unix epoch.
        pixels: uint8 (H, W, C), C = 1 or 3, values 0 to 255.
    """

    path: str
    step: int
    time: int
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Text:
    """A text document, such as a printed architecture.

    Attributes:
        path: Its path, below `io_files/artifacts/`.
        content: The text.
    """

    path: str
    content: str


@dataclass(frozen=True)
class File:
    """A file.

    Attributes:
        path: Its path, below `io_files/artifacts/`, without a suffix.
        source: Where the file is now; its suffix is kept.
    """

    path: str
    source: Path


Event: TypeAlias = Fields | Metrics | Image | Text | File
