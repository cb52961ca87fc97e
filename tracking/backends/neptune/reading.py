"""Reads offline runs from the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.backends.neptune.layout import LONG_FIELDS
from tracking.backends.neptune.offline_folders import read_containers, read_points
from tracking.events import Event, Fields, Value
from tracking.png import read_image
from tracking.replay import gather
from tracking.run_files import text_or_file

if TYPE_CHECKING:
    import pandas as pd


def load_runs(store: Path) -> pd.DataFrame:
    """One row per offline run, as `tracking.tables.run_table` describes it.

    A run of another program has its container's id and whatever fields it has.
    """
    from tracking.tables import run_table

    runs: dict[str, dict[str, Value]] = {}
    for container in read_containers(store):
        runs.setdefault(container.run, {}).update(container.fields)
    return run_table(runs)


def load_steps(store: Path, run: str) -> pd.DataFrame:
    """One row per step of one offline run, as `tracking.tables.step_table` describes it."""
    from tracking.tables import step_table

    return step_table(run, read_points(store, run))


def load_tails(
    store: Path, run: str, paths: Sequence[str], fraction: float
) -> dict[str, pd.Series]:
    """The last values of metrics by path; see `tracking.backends.Backend.load_tails`."""
    from tracking.tables import tails_of

    return tails_of(read_points(store, run), paths, fraction)


def load_last_values(store: Path, run: str) -> dict[str, float]:
    """The last value of each metric by path."""
    from tracking.tables import last_values

    return last_values(read_points(store, run))


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The complete offline run as events; none if the store lacks it."""
    containers = read_containers(store, run)
    if not containers:
        return
    fields: dict[str, Value] = {}
    files: dict[str, Path] = {}
    images: dict[tuple[str, int], tuple[int, bytes]] = {}
    for container in containers:
        fields |= container.fields
        files |= container.files
        images |= container.images
    yield Fields(fields)
    for path, file in sorted(files.items()):
        if not path.startswith(f"{LONG_FIELDS}/"):
            yield text_or_file(path, file)
    yield from gather(point for container in containers for point in container.points)
    for (path, step), (time, content) in sorted(images.items()):
        yield from read_image(path, step, time, content)
