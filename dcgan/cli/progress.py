"""Progress of decoding and of a training run in the terminal."""

from __future__ import annotations

import os
import sys
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

from dcgan.cli.format import escape_control_characters
from dcgan.cli.health_lines import HOLDS, health_line, rules_that_hold
from dcgan.cli.indented_lines import print_indented
from dcgan.cli.stderr import STDERR
from diagnosis import RULES
from tracking.events import Fields, Value

if TYPE_CHECKING:
    from dcgan.jobs.prepare import Job
    from tracking.events import Event


class TrainingConsole(Console):
    """The console of a training, which survives a closed pipe such as `| head`."""

    def on_broken_pipe(self) -> None:
        """Print nothing more; Rich's own would exit, without a checkpoint."""
        self.quiet = True
        if self.file is sys.stdout:  # which Python flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ImageProgress:
    """A bar for each kind of work on images, with the time left; hidden while there is none.

    Nothing is written where there is no terminal.
    """

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
            self._bars.refresh()  # bars below a spinner would not show how far they came
            self._bars.stop()
        self._bars, self._tasks = None, {}

    def decoded(self, done: int, total: int) -> None:
        """Show how many of `total` images are decoded."""
        self.show("decoding", done, total)

    def hashed(self, done: int, total: int) -> None:
        """Show how many of `total` files are read to find out whether they are cached."""
        self.show("reading", done, total)

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
            job.config.name, total=job.total_steps, completed=job.first_step
        )
        self._metrics = Text("starting", style="dim")
        self._health: dict[str, Value] = {}
        self._live = Live(self._render(), console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> TrainingProgress:
        self._console.print(f"[bold]{self._job.config.name}[/bold]: {self._meter.opening()}")
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
        if isinstance(event, Fields) and HOLDS in event.values:
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
        """Keep what holds below the bar, and print what has begun or ended."""
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
        holds = rules_that_hold(self._health)
        if not holds:
            return Group(table, self._metrics)
        line = "; ".join(RULES[rule].title for rule in holds)
        return Group(table, self._metrics, Text(f"{line}: dcgan diagnose", style="yellow"))
