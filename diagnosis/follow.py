"""Applies the rules to a run, event by event or all at once: what holds, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from diagnosis.evidence import Facts, RunningSums, Window, window_length
from diagnosis.findings import Finding
from diagnosis.image_grids import (
    DATASET_SIZE,
    IMAGE_SIZE,
    GridReading,
    ImageStatistics,
    Pixels,
    count_real,
    image_sides,
    image_statistics,
    read_grid,
    split_grid,
)
from diagnosis.readings import Judgement, Undecided
from diagnosis.rules import RULES, RuleName
from tracking.events import (
    BATCH,
    CONFIG,
    FIXED_NOISE,
    NETWORKS,
    REAL,
    Event,
    Fields,
    Image,
    Metrics,
    Value,
)

EVERY_STEPS = 50
"""Steps between two looks at a run: a block of metrics."""

MIN_STEPS = 50
"""Before this step, only non-finite values and the data are judged."""

_SWINGING = ("D_x", "D_G_z1")


class RunWatch:
    """The rules over one run.

    A look at a step waits until later steps have come or the run has ended, because a grid is
    drawn after the metrics of its step. So it finds the same while a run is trained and afterwards,
    when all grids are added first and then all metrics.

    Args:
        fields: What is known of the run before its events.

    Attributes:
        findings: All so far, in the order in which they were seen; a rule may have several.
        unknown: Why rules could not be judged in the last look, by name.
    """

    def __init__(self, fields: Mapping[str, Value] | None = None) -> None:
        self._fields = dict(fields or {})
        self._series: dict[str, RunningSums] = {}
        self._real: ImageStatistics | None = None
        self._grids: list[GridReading] = []
        self._looked = 0
        self._last = 0
        self.findings: list[Finding] = []
        self.unknown: dict[RuleName, str] = {}

    def add(self, event: Event) -> None:
        """Take an event of the run; looks at the steps before those of a block of metrics."""
        if isinstance(event, Fields):
            self._fields |= event.values
        elif isinstance(event, Image):
            self.add_grid(event.path, event.step, event.pixels)
        elif isinstance(event, Metrics):
            for path, values in event.values.items():
                self.add_series(path, event.steps, values)

    def add_series(self, path: str, steps: Sequence[int], values: Sequence[float]) -> None:
        """Take values of a metric; those that no rule reads are left out.

        Args:
            path: Such as `training/batch/Gloss`.
            steps: Of the values, increasing.
            values: NaN and infinities included.
        """
        folder, _, name = path.rpartition("/")
        if folder not in (BATCH, NETWORKS) or not len(steps):
            return
        if folder == BATCH and steps[0] > self._last:
            self._look_before(steps[0])
        self._series.setdefault(name, RunningSums()).add(steps, values)
        if folder == BATCH:
            self._last = max(self._last, steps[-1])

    def add_grid(self, path: str, step: int, pixels: Pixels) -> None:
        """Take a grid of fakes or of real images; others are left out.

        Args:
            path: Of the series, such as `images/fixed_noise`.
            step: At which it was drawn.
            pixels: uint8 (H, W) or (H, W, C).
        """
        sides, count = image_sides(self._fields.get(IMAGE_SIZE)), self._fields.get(_GRID_COUNT)
        if path not in (REAL, FIXED_NOISE) or sides is None:
            return
        if path == FIXED_NOISE and (
            self._real is None or (self._grids and step <= self._grids[-1].step)
        ):
            return
        shown = count if isinstance(count, int) else 1_024
        if path == REAL:
            shown = count_real(shown, self._fields.get(DATASET_SIZE))
        images = split_grid(pixels, sides, shown)
        if not len(images):
            return
        if path == REAL:
            self._real = image_statistics(images)
            return
        assert self._real is not None
        reading = read_grid(step, image_statistics(images), self._real)
        if reading is not None:
            self._grids.append(reading)

    def finish(self) -> None:
        """Look at the last step of the run."""
        self._look_before(self._last + 1)
        self._look(self._last)

    def holding(self) -> list[Finding]:
        """What holds now."""
        return [finding for finding in self.findings if not finding.ended]

    def _look_before(self, step: int) -> None:
        """Look at every multiple of `EVERY_STEPS` before a step."""
        due = range(self._looked // EVERY_STEPS * EVERY_STEPS + EVERY_STEPS, step, EVERY_STEPS)
        for each in due:
            if each <= self._last:
                self._look(each)

    def _look(self, step: int) -> None:
        if self._looked == step and step > 0:
            return
        self._looked = step
        window, facts = self._window(step), Facts(self._fields)
        self.unknown = {}
        for name, rule in RULES.items():
            if step < MIN_STEPS and name not in ("not_finite", "data_at_fault"):
                self.unknown[rule.name] = f"only {step} steps were trained"
                continue
            reading = rule.read(facts, window)
            if isinstance(reading, Undecided):
                self.unknown[rule.name] = reading.reason
            else:
                self._note(rule.name, reading, window)

    def _note(self, rule: RuleName, reading: Judgement, window: Window) -> None:
        current = next(
            (i for i, each in enumerate(self.findings) if each.rule == rule and not each.ended),
            None,
        )
        if current is None:
            if reading.holds:
                since = window.first if reading.since is None else reading.since
                self.findings.append(
                    Finding(
                        rule,
                        since,
                        window.last,
                        window.last,
                        False,
                        reading.evidence,
                        reading.numbers,
                        reading.score,
                    )
                )
            return
        finding = self.findings[current]
        if not reading.holds:
            finding = replace(finding, ended=True)
        else:
            finding = replace(finding, until=window.last)
            if reading.score > finding.score:
                finding = replace(
                    finding, evidence=reading.evidence, numbers=reading.numbers, score=reading.score
                )
        self.findings[current] = finding

    def _window(self, step: int) -> Window:
        first = step - window_length(step) + 1
        means = {name: each.mean(first, step) for name, each in self._series.items()}
        swings = {
            name: self._series[name].swing(first, step)
            for name in _SWINGING
            if name in self._series
        }
        return Window(
            first=first,
            last=step,
            means={name: value for name, value in means.items() if value is not None},
            swings={name: value for name, value in swings.items() if value is not None},
            grids=[grid for grid in self._grids if grid.step <= step],
            non_finite={
                name: each.first_non_finite
                for name, each in self._series.items()
                if each.first_non_finite is not None
            },
        )


_GRID_COUNT = f"{CONFIG}/images/count"
