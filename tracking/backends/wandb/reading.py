"""Reads the runs in a store's `wandb` folder from their logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.backends.wandb.sessions import read_run, read_runs
from tracking.events import Event, Fields
from tracking.png import read_image
from tracking.replay import digests_of, gather, last_of
from tracking.run_files import text_or_file
from tracking.tracker import Held

if TYPE_CHECKING:
    import pandas as pd


def load_runs(store: Path) -> pd.DataFrame:
    """One row per run, as `tracking.tables.run_table` describes it.

    A run of another program has its config below `config/`, and W&B's metadata in `sys/`.
    """
    from tracking.tables import run_table

    return run_table({name: run.fields for name, run in read_runs(store).items()})


def load_steps(store: Path, run: str) -> pd.DataFrame:
    """One row per step of one run, as `tracking.tables.step_table` describes it."""
    from tracking.tables import step_table

    return step_table(run, read_run(store, run).points)


def load_tails(
    store: Path, run: str, paths: Sequence[str], fraction: float
) -> dict[str, pd.Series]:
    """The last values of metrics by path; see `tracking.backends.Backend.load_tails`."""
    from tracking.tables import tails_of

    return tails_of(read_run(store, run).points, paths, fraction)


def load_last_values(store: Path, run: str) -> dict[str, float]:
    """The last value of each metric by path."""
    from tracking.tables import last_values

    return last_values(read_run(store, run).points)


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The complete run as events; none if the store lacks it."""
    contents = read_run(store, run)
    if not contents.fields:
        return
    yield Fields(contents.fields)
    for path, file in sorted(contents.files.items()):
        yield text_or_file(path, file)
    yield from gather(contents.points)
    for (path, step), (time, file) in sorted(contents.images.items()):
        yield from read_image(path, step, time, file.read_bytes())


def read_held(store: Path, run: str) -> tuple[Held, int]:
    """What the store holds of a run, and W&B's count of its rows."""
    contents = read_run(store, run)
    last_step, last_time = last_of(contents.points)
    images, files = frozenset(contents.images), frozenset(contents.files)
    digests = digests_of(contents.files)
    return Held(last_step, images, files, last_time, digests), contents.rows
