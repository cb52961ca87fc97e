"""Progress of a sweep in the terminal, read from the journals of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from dcgan.cli.format import (
    STATUS_STYLES,
    add_number_columns,
    borderless_table,
    duration,
    escape_control_characters,
)
from dcgan.sweeping.progress import ENDED, RunProgress, progress_reader

if TYPE_CHECKING:
    from dcgan.sweeping.plan import RunKey, SweepRun
    from dcgan.sweeping.storage import StoredSweep

_OTHER_COLUMNS_WIDTH = 64
"""Width of all columns except the arm's, including the gaps."""
_MIN_ARM_WIDTH = 12
_LINES_AROUND = 5
_STATES_BY_URGENCY = (
    "running",
    "failed",
    "interrupted",
    "waiting",
    "killed",
    "stopped",
    "finished",
)
_STATES_BY_PROGRESS = (
    "finished",
    "stopped",
    "running",
    "waiting",
    "failed",
    "interrupted",
    "killed",
)


class SweepTable:
    """One row per run, or the most urgent runs if the screen is too small for all.

    In a log file: one line whenever the state of a run changes.
    """

    def __init__(
        self, stored_sweep: StoredSweep, image_counts: Mapping[RunKey, int], console: Console
    ) -> None:
        """Prepare the table.

        Args:
            stored_sweep: The sweep whose runs are shown.
            image_counts: By run, the number of images that it trains on.
            console: Where the table is shown.
        """
        from dcgan.training.schedule import total_epochs, total_steps

        self._runs = stored_sweep.sweep.runs
        # Rows show values only, so the heading has only the last part of each key.
        key_ends = [factor.key.rpartition(".")[2] for factor in stored_sweep.sweep.factors]
        self._arm_heading = ",".join(key_ends) or "arm"
        self._console = console
        self._read_progress = progress_reader(stored_sweep)
        self._at_start = self._read_progress()
        self._now: dict[RunKey, RunProgress] = {}
        self._first_seen: dict[RunKey, RunProgress] = {}
        self._total_steps = {
            run.key: total_steps(run.config, image_counts[run.key]) for run in self._runs
        }
        self._epochs = {
            run.key: total_epochs(run.config, image_counts[run.key]) for run in self._runs
        }
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> SweepTable:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self.refresh()

    def refresh(self) -> None:
        """Read all journals and update the table."""
        latest = self._read_progress()
        for run in self._runs:
            progress = self._this_session(run.key, latest.get(run.key, RunProgress()))
            changed = progress.state != self._now.get(run.key, RunProgress()).state
            self._now[run.key] = progress
            at_start = self._at_start.get(run.key, RunProgress())
            if progress.state == "running" and progress.step != at_start.step:
                self._first_seen.setdefault(run.key, progress)
            if changed and not self._console.is_terminal:
                self._console.print(self._line(run, progress), soft_wrap=True)
        if self._live.is_started:
            self._live.update(self._render(), refresh=True)

    def _this_session(self, key: RunKey, progress: RunProgress) -> RunProgress:
        """The progress in this session, in which a run that stopped earlier is waiting."""
        before = self._at_start.get(key)
        unchanged = before and (before.folder, before.ended) == (progress.folder, progress.ended)
        if unchanged and progress.state not in (*ENDED, "running"):
            if progress.state == "failed":  # it is trained anew, from its first step
                return RunProgress()
            return RunProgress(step=progress.step, epoch=progress.epoch, losses=progress.losses)
        return progress

    def _line(self, run: SweepRun, progress: RunProgress) -> Text:
        line = Text(f"{escape_control_characters(run.arm.label)}  seed {run.seed}  ")
        line.append(progress.state, style=STATUS_STYLES.get(progress.state, ""))
        if progress.error:
            line.append(f"  {escape_control_characters(progress.error)}")
        return line

    def _render(self) -> Group:
        table = borderless_table()
        width = max(_MIN_ARM_WIDTH, self._console.width - _OTHER_COLUMNS_WIDTH)
        table.add_column(self._arm_heading, no_wrap=True, max_width=width, overflow="ellipsis")
        add_number_columns(table, "seed")
        table.add_column("state", no_wrap=True)
        add_number_columns(table, "epoch", "step", "G", "D", "left")
        for run in self._visible_runs():
            table.add_row(*self._cells(run))
        return Group(table, Text(self._summary(), style="dim"))

    def _visible_runs(self) -> list[SweepRun]:
        """All runs, or as many as fit on the screen: running ones first, finished ones last."""
        room = max(1, self._console.height - _LINES_AROUND)
        if len(self._runs) <= room:
            return list(self._runs)

        def urgency(run: SweepRun) -> int:
            return _STATES_BY_URGENCY.index(self._now[run.key].state)

        visible = sorted(self._runs, key=urgency)[:room]
        return [run for run in self._runs if run in visible]

    def _cells(self, run: SweepRun) -> list[Text]:
        progress = self._now[run.key]
        has_begun = progress.step > 0
        losses = [f"{loss:.3f}" for loss in progress.losses] if progress.losses else ["", ""]
        left = self._seconds_left(run.key) if progress.state == "running" else None
        return [
            Text(escape_control_characters(run.arm.short)),
            Text(str(run.seed)),
            Text(progress.state, style=STATUS_STYLES.get(progress.state, "dim")),
            *map(Text, self._trained(run, progress) if has_begun else ("", "")),
            *map(Text, losses),
            Text("" if left is None else duration(left)),
        ]

    def _trained(self, run: SweepRun, progress: RunProgress) -> tuple[str, str]:
        """Epochs and steps; the one in which the length was given with its total."""
        epochs, steps = f"{progress.epoch}", f"{progress.step:,}"
        if run.config.training.steps is not None:
            return epochs, f"{steps}/{self._total_steps[run.key]:,}"
        return f"{epochs}/{self._epochs[run.key]}", steps

    def _steps_per_second(self, key: RunKey) -> float:
        """Since the run was first seen in this session; 0 until it is known."""
        first, now = self._first_seen.get(key), self._now[key]
        if first is None or now.time <= first.time:
            return 0.0
        return (now.step - first.step) / (now.time - first.time) * 1000

    def _seconds_left(self, key: RunKey) -> float | None:
        rate = self._steps_per_second(key)
        return (self._total_steps[key] - self._now[key].step) / rate if rate else None

    def _summary(self) -> str:
        """`3 finished, 4 running, 13 waiting; about 12 min 00 s left`."""
        counts = Counter(progress.state for progress in self._now.values())
        summary = ", ".join(
            f"{counts[state]} {state}" for state in _STATES_BY_PROGRESS if counts[state]
        )
        rates = [
            self._steps_per_second(key)
            for key, progress in self._now.items()
            if progress.state == "running"
        ]
        if not rates or not all(rates):
            return summary
        steps_left = sum(
            self._total_steps[key] - progress.step
            for key, progress in self._now.items()
            if progress.state in ("running", "waiting")
        )
        return f"{summary}; about {duration(steps_left / sum(rates))} left"
