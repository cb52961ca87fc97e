"""Reads offline runs from the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.backends.foreign import UNMAPPED
from tracking.backends.neptune.foreign import foreign_document, foreign_images
from tracking.backends.neptune.layout import LONG_FIELDS
from tracking.backends.neptune.offline_folders import Container, read_containers, read_points
from tracking.events import Event, Fields, Text, Value
from tracking.png import read_image
from tracking.replay import gather
from tracking.run_files import text_or_file

if TYPE_CHECKING:
    import pandas as pd


def load_runs(store: Path) -> pd.DataFrame:
    """One row per offline run, as `tracking.tables.run_table` describes it.

    A run of another program has its container's id, and fields as `neptune.foreign` says.
    """
    from tracking.tables import run_table

    runs: dict[str, list[Container]] = {}
    for container in read_containers(store):
        runs.setdefault(container.run, []).append(container)
    return run_table({run: _fields(sessions) for run, sessions in runs.items()})


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
    files: dict[str, Path] = {}
    lines: dict[str, list[str]] = {}
    images: dict[tuple[str, int], tuple[int, bytes]] = {}
    for container in containers:
        files |= container.files
        for path, more in container.lines.items():
            lines.setdefault(path, []).extend(more)
        images |= container.images
    UNMAPPED.update(kind for each in containers for kind in each.unmapped.values())
    made_here = containers[0].made_here
    yield Fields(_fields(containers))
    for path, file in sorted(files.items()):
        if not path.startswith(f"{LONG_FIELDS}/"):
            yield text_or_file(path if made_here else foreign_document(path), file)
    for path, series in sorted(lines.items()):
        yield Text(foreign_document(path), "".join(series))
    yield from gather(point for container in containers for point in container.points)
    for (path, step), (time, content) in sorted(images.items()):
        yield from read_image(path if made_here else foreign_images(path), step, time, content)


def _fields(sessions: Sequence[Container]) -> dict[str, Value]:
    """The last values of the fields; the first session created the run."""
    fields = {path: value for each in sessions for path, value in each.fields.items()}
    created = [each.fields["sys/created"] for each in sessions if "sys/created" in each.fields]
    return fields | ({"sys/created": created[0]} if created else {})
