"""The progress of a sweep in the terminal, from the journals of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import STATUS_STYLES, duration, escape_control_characters
from dcgan.sweep.progress import RunProgress, progress_reader

if TYPE_CHECKING:
    from dcgan.sweep.plan import RunKey, SweepRun
    from dcgan.sweep.storage import StoredSweep

_OTHER_COLUMNS = 57
"""The width of all but the arm, with the gaps."""
_LINES_AROUND = 5


class SweepTable:
    """A row a run; where they are too many, those at work. In a log file, a line a change."""

    def __init__(self, started: StoredSweep, sizes: Mapping[RunKey, int], console: Console) -> None:
        from dcgan.training.schedule import steps_per_epoch, total_steps

        self._trials = started.sweep.runs
        # The values alone, under the last words of the keys: whole keys would hide the values.
        words = [factor.key.rpartition(".")[2] for factor in started.sweep.factors]
        self._arms = ",".join(words) or "arm"
        self._console = console
        self._read = progress_reader(started)
        self._before = self._read()
        self._now: dict[RunKey, RunProgress] = {}
        self._first: dict[RunKey, RunProgress] = {}
        self._steps = {
            trial.key: total_steps(trial.config, sizes[trial.key]) for trial in self._trials
        }
        self._epochs = {
            trial.key: -(-self._steps[trial.key] // steps_per_epoch(trial.config, sizes[trial.key]))
            for trial in self._trials
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
        """Read all journals and show what they say."""
        found = self._read()
        for trial in self._trials:
            standing = self._this_time(trial.key, found.get(trial.key, RunProgress()))
            changed = standing.state != self._now.get(trial.key, RunProgress()).state
            self._now[trial.key] = standing
            at_work = standing.state == "running"
            if at_work and standing.step != self._before.get(trial.key, RunProgress()).step:
                self._first.setdefault(trial.key, standing)
            if changed and not self._console.is_terminal:
                self._console.print(self._line(trial, standing), soft_wrap=True)
        if self._live.is_started:
            self._live.update(self._render(), refresh=True)

    def _this_time(self, key: RunKey, standing: RunProgress) -> RunProgress:
        """What stopped in an earlier sitting waits for its turn in this one."""
        before = self._before.get(key)
        same = before and (before.folder, before.ended) == (standing.folder, standing.ended)
        if same and standing.state not in ("finished", "running"):
            return RunProgress(step=standing.step, epoch=standing.epoch, losses=standing.losses)
        return standing

    def _line(self, trial: SweepRun, standing: RunProgress) -> Text:
        said = Text(f"{escape_control_characters(trial.arm.label)}  seed {trial.seed}  ")
        said.append(standing.state, style=STATUS_STYLES.get(standing.state, ""))
        if standing.losses and standing.state == "finished":
            said.append("  G {:.3f}  D {:.3f}".format(*standing.losses))
        if standing.error:
            said.append(f"  {escape_control_characters(standing.error)}")
        return said

    def _render(self) -> Group:
        table = Table(box=None, header_style="bold", pad_edge=False)
        width = max(12, self._console.width - _OTHER_COLUMNS)
        table.add_column(self._arms, no_wrap=True, max_width=width, overflow="ellipsis")
        table.add_column("seed", justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for column in ("epoch", "step", "G", "D", "left"):
            table.add_column(column, justify="right", no_wrap=True)
        shown = self._shown()
        for trial in shown:
            table.add_row(*self._cells(trial))
        return Group(table, Text(self._counts(), style="dim"))

    def _shown(self) -> list[SweepRun]:
        """All, or as many as the screen takes, the ones at work first."""
        room = max(1, self._console.height - _LINES_AROUND)
        if len(self._trials) <= room:
            return list(self._trials)
        precedence = ("running", "failed", "interrupted", "waiting", "killed", "finished")

        def rank(trial: SweepRun) -> int:
            return precedence.index(self._now[trial.key].state)

        chosen = sorted(self._trials, key=rank)[:room]
        return [trial for trial in self._trials if trial in chosen]

    def _cells(self, trial: SweepRun) -> list[Text]:
        standing = self._now[trial.key]
        begun = standing.step > 0
        losses = [f"{each:.3f}" for each in standing.losses] if standing.losses else ["", ""]
        left = self._seconds_left(trial.key) if standing.state == "running" else None
        return [
            Text(escape_control_characters(trial.arm.short)),
            Text(str(trial.seed)),
            Text(standing.state, style=STATUS_STYLES.get(standing.state, "dim")),
            Text(f"{standing.epoch}/{self._epochs[trial.key]}" if begun else ""),
            Text(f"{standing.step:,}" if begun else ""),
            *map(Text, losses),
            Text("" if left is None else duration(left)),
        ]

    def _rate(self, key: RunKey) -> float:
        """Steps a second since the run was first seen in this sitting; 0 where unknown."""
        first, now = self._first.get(key), self._now[key]
        if first is None or now.time <= first.time:
            return 0.0
        return (now.step - first.step) / (now.time - first.time) * 1000

    def _seconds_left(self, key: RunKey) -> float | None:
        rate = self._rate(key)
        return (self._steps[key] - self._now[key].step) / rate if rate else None

    def _counts(self) -> str:
        """`3 finished, 4 running, 13 waiting; about 12 min 00 s left`"""
        counts = Counter(standing.state for standing in self._now.values())
        order = ("finished", "running", "waiting", "failed", "interrupted", "killed")
        said = ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
        running = [key for key, standing in self._now.items() if standing.state == "running"]
        rates = [self._rate(key) for key in running]
        if not rates or not all(rates):
            return said
        to_do = sum(
            self._steps[key] - standing.step
            for key, standing in self._now.items()
            if standing.state in ("running", "waiting")
        )
        return f"{said}; about {duration(to_do / sum(rates))} left"
