"""Progress bars in the terminal, for work on images and for a training run."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
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

from dcgan.cli.format import escape_control_characters
from dcgan.cli.health_lines import health_line, rules_that_hold
from dcgan.cli.indented_lines import print_indented
from dcgan.cli.stderr import STDERR
from dcgan.data.progress import NamedProgress
from diagnosis import RULES
from tracking.events import RULES_THAT_HOLD, Fields, Value

if TYPE_CHECKING:
    from dcgan.jobs.prepare import Job
    from tracking.events import Event


class TrainingConsole(Console):
    """A console for a training run: a closed pipe, as after `| head`, does not end the run."""

    def on_broken_pipe(self) -> None:
        """Stop printing. Rich's own method would exit without a checkpoint."""
        self.quiet = True
        if self.file is sys.stdout:  # Python flushes it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ImageProgress(NamedProgress):
    """A bar for each kind of work on images, with the time left; none while there is no work.

    Nothing is written unless standard error is a terminal.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ImageProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove all bars, so that text can be printed; the next `show` adds one again."""
        if self._bars is not None:
            self._bars.refresh()  # bars below a spinner would show no progress
            self._bars.stop()
        self._bars, self._tasks = None, {}

    def show(self, what: str, done: int, total: int) -> None:
        """Show how much of a kind of work is done.

        Args:
            what: The work, or the images, in a word or two.
            done: Images that are done.
            total: All images.
        """
        if not STDERR.is_terminal:
            return
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(None),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=STDERR,
                transient=True,
            )
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


class TrainingProgress:
    """A bar with the latest metrics below it; in a log file, one line per epoch."""

    def __init__(self, job: Job, console: Console) -> None:
        from dcgan.jobs.progress import TrainingMeter

        self._job = job
        self._console = console
        self._meter = TrainingMeter(job)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), expand=True
        )
        self._task = self._bar.add_task(
            escape(job.config.name), total=job.total_steps, completed=job.first_step
        )
        self._metrics = Text("starting", style="dim")
        self._health: dict[str, Value] = {}
        self._live = Live(self._render(), console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> TrainingProgress:
        self._console.print(
            f"[bold]{escape(self._job.config.name)}[/bold]: {self._meter.opening()}"
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
        if isinstance(event, Fields) and RULES_THAT_HOLD in event.values:
            self._show_health(event)
        for line in self._meter.follow(event):
            self._console.print(line)
        if self._meter.epoch_ended:
            if not self._console.is_terminal:
                self._console.print(self._meter.line, soft_wrap=True)
        elif self._meter.line:
            self._bar.update(self._task, completed=self._meter.step)
            self._metrics = Text(self._meter.line)
            self._live.update(self._render())

    def warn(self, message: str) -> None:
        """Print a warning above the bar."""
        print_indented(self._console, escape_control_characters(message), "yellow")

    def _show_health(self, event: Fields) -> None:
        """Show the rules that hold below the bar, and print which began or ceased to hold."""
        before = set(rules_that_hold(self._health))
        self._health |= event.values
        now = rules_that_hold(self._health)
        for rule in dict.fromkeys((*now, *sorted(before))):
            if (rule in now) != (rule in before):
                style = "yellow" if rule in now else "dim"
                line = health_line(rule, self._health)
                print_indented(self._console, escape_control_characters(line), style)
        self._live.update(self._render())

    def _render(self) -> Group:
        table = Table.grid(expand=True)
        table.add_row(self._bar)
        rules = rules_that_hold(self._health)
        if not rules:
            return Group(table, self._metrics)
        line = "; ".join(RULES[rule].title for rule in rules)
        return Group(table, self._metrics, Text(f"{line}: dcgan diagnose", style="yellow"))
