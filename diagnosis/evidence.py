"""What the rules look at: everything known about a run at one of its steps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from diagnosis.image_grids import GridReading
from tracking.events import CONFIG, Value

MIN_WINDOW = 100
"""Steps of a window; later ones have a tenth of all steps so far, as a comparison averages."""

SHARE = 0.1
SEGMENTS = 10
"""Parts of a window whose means show whether a metric swings."""


@dataclass(frozen=True)
class Facts:
    """What a run's fields say before its first step.

    Attributes:
        fields: By path.
    """

    fields: Mapping[str, Value]

    def number(self, key: str) -> float | None:
        """A number of the configuration, such as `stabilisers/label_smoothing`."""
        value = self.fields.get(f"{CONFIG}/{key}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]

    @property
    def loss(self) -> str | None:
        """The name of the loss."""
        value = self.fields.get(f"{CONFIG}/loss/name")
        return value if isinstance(value, str) else None

    @property
    def targets(self) -> tuple[float, float] | None:
        """The outputs for real images and for fakes at which D's loss is smallest.

        None if it has no smallest value. Outputs are probabilities for bce and softmax, and plain
        numbers for the other losses.
        """
        match self.loss:
            case "bce" | "softmax" | "least_squares":
                smoothing = self.number("stabilisers/label_smoothing") or 0.0
                flipped = self.number("stabilisers/label_flipping") or 0.0
                return (1 - smoothing) * (1 - flipped), flipped
            case "hinge":
                return 1.0, -1.0
            case _:
                return None

    @property
    def output_span(self) -> float:
        """How far apart `targets` are without smoothing and flipping."""
        return 2.0 if self.loss == "hinge" else 1.0


@dataclass(frozen=True)
class Window:
    """What is known at one step.

    Attributes:
        first, last: The steps whose metrics are averaged.
        means: By the last part of the metric's path, such as `Gloss`; not finite if one of the
            values is not.
        swings: By the same names: the standard deviation of the means of ten parts of the window
            around their trend.
        grids: All grids so far, the latest last.
        non_finite: Name -> first step at which a metric was not finite, in the whole run so far.
    """

    first: int
    last: int
    means: Mapping[str, float]
    swings: Mapping[str, float] = field(default_factory=dict)
    grids: Sequence[GridReading] = ()
    non_finite: Mapping[str, int] = field(default_factory=dict)


def window_length(step: int) -> int:
    """How many steps the window that ends at a step has."""
    return min(step, max(MIN_WINDOW, round(SHARE * step)))


class RunningSums:
    """A metric so far, as sums, so that the mean of any window takes no time.

    Attributes:
        first_non_finite: The first step at which it was not finite; None if it always was.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._sums = [0.0]
        self._broken = [0]
        self.first_non_finite: int | None = None

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Add values; one at an earlier step than the last is left out."""
        for step, value in zip(steps, values, strict=True):
            if value is None or (self._steps and step <= self._steps[-1]):
                continue
            finite = math.isfinite(value)
            if not finite and self.first_non_finite is None:
                self.first_non_finite = step
            self._steps.append(step)
            self._sums.append(self._sums[-1] + (value if finite else 0.0))
            self._broken.append(self._broken[-1] + (not finite))

    def mean(self, first: int, last: int) -> float | None:
        """The mean over the steps from `first` to `last`; None without values."""
        start, end = bisect_left(self._steps, first), bisect_left(self._steps, last + 1)
        if start == end:
            return None
        if self._broken[end] > self._broken[start]:
            return math.nan
        return (self._sums[end] - self._sums[start]) / (end - start)

    def swing(self, first: int, last: int) -> float | None:
        """The deviation of the means of a window's parts from a straight line through them.

        None if a part has fewer than three values.
        """
        edges = np.linspace(first, last + 1, SEGMENTS + 1).round().astype(int).tolist()
        starts = [bisect_left(self._steps, edge) for edge in edges]
        if np.diff(starts).min() < 3:
            return None
        means = np.array([self.mean(low, high - 1) for low, high in pairwise(edges)], dtype=float)
        if not np.isfinite(means).all():
            return None
        positions = np.arange(SEGMENTS)
        residuals = means - np.polyval(np.polyfit(positions, means, 1), positions)
        return float(residuals.std())
