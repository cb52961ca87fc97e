"""The progress of a training as lines of text, for a terminal, a log file or a notebook."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dcgan.jobs.prepare import Job
from dcgan.jobs.run import TrainingResult
from tracking.evaluation_paths import REAL_SCORES, is_best_score, metric_of
from tracking.events import BATCH, EPOCH, EVALUATION, Event, Fields, Metrics, Value
from tracking.wording import duration, plural

_RATE_WINDOW_SECONDS = 10.0


def describe_end(result: TrainingResult, job: Job) -> str:
    """How a run ended, how long it took and how fast it was, to follow the run's id."""
    return (
        f"{result.status} after {result.steps:,} of {plural(job.total_steps, 'step')} in "
        f"{duration(result.seconds)} ({result.images_per_second:,.0f} images/s)."
    )


class TrainingMeter:
    """Follows the events of a training.

    Attributes:
        step: Steps done.
        line: The newest metrics, the speed and the time left; empty before the first step.
        epoch_ended: Whether the last event that was followed ended an epoch.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._steps_per_epoch = job.steps_per_epoch
        self._images_per_step = job.images.card.size / self._steps_per_epoch
        self._recent = [(time.monotonic(), job.first_step)]  # times and steps, for the rate
        self._real_scores: dict[str, Value] = {}
        self.step = job.first_step
        self.line = ""
        self.epoch_ended = False

    def opening(self) -> str:
        """A sentence that describes the training."""
        job = self._job
        return (
            f"{job.images.card.size:,} images, {plural(job.epochs, 'epoch')}, "
            f"{plural(job.total_steps, 'step')} at batch size {job.config.training.batch_size}, "
            f"on {job.device}."
        )

    def follow(self, event: Event) -> list[str]:
        """Follow an event; returns a line for each score of an evaluation in it."""
        self.epoch_ended = False
        if isinstance(event, Fields):
            self._real_scores |= {
                path.removeprefix(f"{REAL_SCORES}/"): value
                for path, value in event.values.items()
                if path.startswith(f"{REAL_SCORES}/")
            }
        if not isinstance(event, Metrics):
            return []
        self.epoch_ended = f"{EPOCH}/Gloss" in event.values
        if f"{BATCH}/Gloss" in event.values or self.epoch_ended:
            self._update(event, measured=not self.epoch_ended)
        return list(self._score_lines(event))

    def _update(self, event: Metrics, *, measured: bool) -> None:
        self.step = event.steps[-1]
        if measured:
            self._recent.append((time.monotonic(), self.step))
            # Two at least, however far apart they are: steps may be slow, and those of several
            # processes are reported 50 at a time.
            while len(self._recent) > 2 and self._recent_seconds() > _RATE_WINDOW_SECONDS:
                self._recent.pop(0)
        latest = {path.rpartition("/")[2]: column[-1] for path, column in event.values.items()}
        epoch = -(-self.step // self._steps_per_epoch)
        rate = self._steps_per_second()
        left = duration((self._job.total_steps - self.step) / rate) if rate else "?"
        self.line = (
            f"epoch {epoch}/{self._job.epochs}  step {self.step:,}  "
            f"{rate * self._images_per_step:,.0f} images/s  "
            f"G {latest['Gloss']:.3f}  D {latest['Dloss']:.3f}  D(x) {latest['D_x']:.2f}  "
            f"D(G(z)) {latest['D_G_z1']:.2f}/{latest['D_G_z2']:.2f}  {left} left"
        )

    def _score_lines(self, event: Metrics) -> Iterator[str]:
        for path, column in event.values.items():
            if is_best_score(path):
                name, best = metric_of(path), column[-1]
                value = event.values[f"{EVALUATION}/{name}"][-1]
                real = self._real_scores.get(name)
                yield (
                    f"step {event.steps[-1]:,}: {name} {value:.4g}"
                    + (", the best so far" if value == best else f", the best is {best:.4g}")
                    + (f"; real images {real:.4g}" if isinstance(real, float) else "")
                )

    def _recent_seconds(self) -> float:
        return self._recent[-1][0] - self._recent[0][0]

    def _steps_per_second(self) -> float:
        steps, seconds = self._recent[-1][1] - self._recent[0][1], self._recent_seconds()
        return steps / seconds if seconds else 0.0
