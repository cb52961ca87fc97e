"""Reads runs from trackio's database, without changing it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_tracker_trackio.layout import (
    FILES,
    IMAGE_TYPE,
    from_config,
    from_key,
    media_folder,
    project_of,
)
from tracking.events import Event, Fields, File, Text, Value
from tracking.png import read_image
from tracking.replay import digests_of, gather, last_of
from tracking.tracker import Held

if TYPE_CHECKING:
    import pandas as pd

    from tracking.tables import Point


@dataclass(frozen=True)
class Rows:
    """What was logged to a run.

    Attributes:
        points: The values of its metrics.
        images: The time in milliseconds since the Unix epoch and the file of each picture, by
            path and step.
    """

    points: list[Point] = field(default_factory=list)
    images: dict[tuple[str, int], tuple[int, Path]] = field(default_factory=dict)


def load_runs(store: Path) -> pd.DataFrame:
    """One row per run."""
    from tracking.tables import run_table

    return run_table(read_fields(store))


def load_steps(store: Path, run: str) -> pd.DataFrame:
    """One row per step of one run."""
    from tracking.tables import step_table

    return step_table(run, _read_rows(store, run).points)


def load_tails(
    store: Path, run: str, paths: Sequence[str], fraction: float
) -> Mapping[str, pd.Series]:
    """The last values of metrics by path."""
    from tracking.tables import tails_of

    return tails_of(_read_rows(store, run).points, paths, fraction)


def load_last_values(store: Path, run: str) -> Mapping[str, float]:
    """The last value of each metric by path."""
    from tracking.tables import last_values

    return last_values(_read_rows(store, run).points)


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The complete run as events; none if the store lacks it."""
    fields = read_fields(store)
    if run not in fields:
        return
    rows = _read_rows(store, run)
    yield Fields(fields[run])
    for path, file in _files(store, run).items():
        yield Text(path, file.read_bytes().decode()) if file.suffix == ".txt" else File(path, file)
    yield from gather(rows.points)
    for (path, step), (time, file) in rows.images.items():
        yield from read_image(path, step, time, file.read_bytes())


def read_fields(store: Path) -> dict[str, dict[str, Value]]:
    """The fields of each run of a store by path."""
    rows = _query(store, "SELECT run_id, config FROM configs", ())
    return {
        run: {path: from_config(value) for path, value in json.loads(config).items()}
        for run, config in rows
    }


def read_held(store: Path, run: str) -> Held:
    """What the store has of a run."""
    rows = _read_rows(store, run)
    last_step, last_time = last_of(rows.points)
    files = _files(store, run)
    images = frozenset(rows.images)
    return Held(last_step, images, frozenset(files), last_time, digests_of(files))


def _read_rows(store: Path, run: str) -> Rows:
    media = media_folder(project_of(store), run).parents[1]
    rows = Rows()
    query = "SELECT step, timestamp, metrics FROM metrics WHERE run_id = ? ORDER BY id"
    for step, timestamp, metrics in _query(store, query, (run,)):
        time = round(datetime.fromisoformat(timestamp).timestamp() * 1000)
        for key, value in json.loads(metrics).items():
            if isinstance(value, dict):
                if value.get("_type") == IMAGE_TYPE:
                    rows.images[from_key(key), step] = (time, media / value["file_path"])
            else:  # NaN and infinities are texts that float() reads
                rows.points.append((from_key(key), step, time, float(value)))
    return rows


def _query(store: Path, query: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
    from trackio.sqlite_storage import SQLiteStorage

    file = Path(SQLiteStorage.get_project_db_path(project_of(store)))
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(query, values).fetchall()


def _files(store: Path, run: str) -> dict[str, Path]:
    """The texts and files of a run by their paths."""
    folder = media_folder(project_of(store), run) / FILES
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
