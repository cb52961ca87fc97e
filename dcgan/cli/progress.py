"""Progress of decoding and of a training run in the terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import duration, escape_control_characters
from dcgan.cli.health_lines import HOLDS, health_line, rules_that_hold
from diagnosis import RULES
from tracking.events import BATCH, EPOCH, EVALUATION, SYS, Event, Fields, Metrics, Value
from tracking.wording import plural

if TYPE_CHECKING:
    from dcgan.jobs.prepare import Job

_RATE_WINDOW_SECONDS = 10.0
_BEST_SCORE = f"{EVALUATION}/best_"
_REAL_SCORE = f"{SYS}/evaluation/floor/"


class ImageProgress:
    """A bar for each kind of work on images, with the time left; hidden until there is some."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ImageProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove all bars, so that something can be printed; the next `show` brings one back."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks = None, {}

    def decoded(self, done: int, total: int) -> None:
        """Show how many of `total` images are decoded."""
        self.show("decoding", done, total)

    def show(self, what: str, done: int, total: int) -> None:
        """Show how much of a kind of work is done.

        Args:
            what: The work, or the images, in a word or two.
            done: Images that are done.
            total: All images.
        """
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(None),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


class TrainingProgress:
    """A bar with the latest metrics below it; in a log file, one line per epoch."""

    def __init__(self, job: Job, console: Console) -> None:
        self._job = job
        self._console = console
        self._steps_per_epoch = job.steps_per_epoch
        self._images_per_step = job.images.card.size / self._steps_per_epoch
        self._recent = [(time.monotonic(), job.first_step)]  # times and steps, for the rate
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), expand=True
        )
        self._task = self._bar.add_task(
            job.config.name, total=job.total_steps, completed=job.first_step
        )
        self._metrics = Text("starting", style="dim")
        self._real_scores: dict[str, Value] = {}
        self._health: dict[str, Value] = {}
        self._live = Live(self._render(), console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> TrainingProgress:
        self._console.print(
            f"[bold]{self._job.config.name}[/bold]: {self._job.images.card.size:,} images, "
            f"{plural(self._job.epochs, 'epoch')}, {plural(self._job.total_steps, 'step')} "
            f"at batch size {self._job.config.training.batch_size}, on {self._job.device}."
        )
        if self._job.folder is not None:
            self._console.print(
                f"Continuing {self._job.folder.name} after step {self._job.first_step:,}."
            )
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Update the bar from an event of the run, and print the score of an evaluation."""
        if isinstance(event, Fields):
            self._real_scores |= {
                path.removeprefix(_REAL_SCORE): value
                for path, value in event.values.items()
                if path.startswith(_REAL_SCORE)
            }
            if HOLDS in event.values:
                self._show_health(event)
        if not isinstance(event, Metrics):
            return
        step = event.steps[-1]
        for path, column in event.values.items():
            if path.startswith(_BEST_SCORE):
                name = path.removeprefix(_BEST_SCORE)
                value = event.values[f"{EVALUATION}/{name}"][-1]
                self._console.print(self._score_line(step, name, value, column[-1]))
        if f"{BATCH}/Gloss" in event.values:
            self._update_bar(step, event)
        elif f"{EPOCH}/Gloss" in event.values and not self._console.is_terminal:
            self._console.print(self._line(step, event), soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning above the bar."""
        text = Text(escape_control_characters(message), style="yellow")
        self._console.print(text, soft_wrap=True)

    def _show_health(self, event: Fields) -> None:
        """Keep what holds below the bar, and print what has begun or ended."""
        before = set(rules_that_hold(self._health))
        self._health |= event.values
        now = rules_that_hold(self._health)
        for rule in dict.fromkeys((*now, *sorted(before))):
            if (rule in now) != (rule in before):
                style = "yellow" if rule in now else "dim"
                line = health_line(rule, self._health)
                self._console.print(Text(escape_control_characters(line), style), soft_wrap=True)
        self._live.update(self._render())

    def _update_bar(self, step: int, event: Metrics) -> None:
        self._recent.append((time.monotonic(), step))
        while self._recent[-1][0] - self._recent[0][0] > _RATE_WINDOW_SECONDS:
            self._recent.pop(0)
        self._bar.update(self._task, completed=step)
        self._metrics = Text(self._line(step, event))
        self._live.update(self._render())

    def _line(self, step: int, event: Metrics) -> str:
        latest = {path.rpartition("/")[2]: column[-1] for path, column in event.values.items()}
        epoch = -(-step // self._steps_per_epoch)
        rate = self._steps_per_second()
        left = duration((self._job.total_steps - step) / rate) if rate else "?"
        return (
            f"epoch {epoch}/{self._job.epochs}  step {step:,}  "
            f"{rate * self._images_per_step:,.0f} images/s  "
            f"G {latest['Gloss']:.3f}  D {latest['Dloss']:.3f}  D(x) {latest['D_x']:.2f}  "
            f"D(G(z)) {latest['D_G_z1']:.2f}/{latest['D_G_z2']:.2f}  {left} left"
        )

    def _score_line(self, step: int, name: str, value: float, best: float) -> str:
        real = self._real_scores.get(name)
        return (
            f"step {step:,}: {name} {value:.4g}"
            + (", the best so far" if value == best else f", the best is {best:.4g}")
            + (f"; real images {real:.4g}" if isinstance(real, float) else "")
        )

    def _steps_per_second(self) -> float:
        (start, first_step), (end, last_step) = self._recent[0], self._recent[-1]
        return (last_step - first_step) / (end - start) if end > start else 0.0

    def _render(self) -> Group:
        table = Table.grid(expand=True)
        table.add_row(self._bar)
        holds = rules_that_hold(self._health)
        if not holds:
            return Group(table, self._metrics)
        line = "; ".join(RULES[rule].title for rule in holds)
        return Group(table, self._metrics, Text(f"{line}: dcgan diagnose", style="yellow"))
