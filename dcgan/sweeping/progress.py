"""Progress of a sweep's runs, read from their journals (workers report only at the end)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcgan.run_folder import RECIPE_FILE
from dcgan.sweeping.plan import RunKey, SweepRun
from dcgan.sweeping.storage import StoredSweep
from tracking.backends.local import last_values, read_fields, run_folders
from tracking.errors import StoreError, warn
from tracking.events import EPOCH, SWEEP
from tracking.last_losses import last_losses
from tracking.store import trash_run

ENDED = ("finished", "stopped")
"""The states of runs that a sweep does not train again."""

_POLL_SECONDS = 0.5
_ORPHAN_SECONDS = 60.0
"""How long to wait for workers of a killed sweep to stop."""


@dataclass(frozen=True)
class RunProgress:
    """How far a run is, according to its journal.

    Attributes:
        state: The run's status, or `waiting` if it has not begun.
        folder: The run's folder; None if it has not begun.
        created: When the run was created, ISO 8601.
        ended: When the run ended, ISO 8601; None while it runs.
        error: What a failed run raised.
        step: Steps done.
        epoch: Epochs done.
        time: When the last step was done, milliseconds since the Unix epoch.
        losses: G's and D's, means of the last epoch, or the last step's during the first.
    """

    state: str = "waiting"
    folder: Path | None = None
    created: str = ""
    ended: str | None = None
    error: str | None = None
    step: int = 0
    epoch: int = 0
    time: float = 0.0
    losses: tuple[float, float] | None = None


def progress_reader(stored_sweep: StoredSweep) -> Callable[[], dict[RunKey, RunProgress]]:
    """A function that reads the progress of the runs of a sweep that have begun.

    If a run was started twice, the newer one counts. Journals of other sweeps and of finished
    runs are read only once.
    """
    keys: dict[Path, RunKey | None] = {}
    finished: dict[Path, RunProgress] = {}

    def read_one(folder: Path) -> RunProgress | None:
        """None for a run of another sweep, or whose journal does not name its sweep yet."""
        if folder in finished:
            return finished[folder]
        if keys.get(folder, ()) is None:
            return None
        try:
            fields = read_fields(folder)
        except StoreError as error:
            warn(f"The run {folder.name} is left out: {str(error).splitlines()[0]}")
            return None
        if "sys/recipe" not in fields:
            return None
        keys[folder] = None
        if fields.get(f"{SWEEP}/id") == stored_sweep.id:
            keys[folder] = (str(fields[f"{SWEEP}/arm"]), int(str(fields["sys/seed"])))
            progress = _read_progress(folder, fields)
            if progress.state in ENDED:
                finished[folder] = progress
            return progress
        return None

    def read() -> dict[RunKey, RunProgress]:
        newest: dict[RunKey, RunProgress] = {}
        for folder in run_folders(stored_sweep.store):
            progress, key = read_one(folder), keys.get(folder)
            if progress and key and (key not in newest or newest[key].created < progress.created):
                newest[key] = progress
        return newest

    return read


def missing_runs(stored_sweep: StoredSweep) -> dict[SweepRun, str | None]:
    """The missing runs of a sweep, each with the id of the run to resume, or None for a new one.

    Workers of a killed sweep stop by themselves: waits for them, and raises StoreError if one
    does not stop.
    """
    read = progress_reader(stored_sweep)
    deadline = time.monotonic() + _ORPHAN_SECONDS
    progress_by_key = read()
    while running := [each for each in progress_by_key.values() if each.state == "running"]:
        if time.monotonic() > deadline:
            names = ", ".join(str(each.folder and each.folder.name) for each in running)
            raise StoreError(
                f"Another process is still training runs of {stored_sweep.id}: {names}.\n"
                "Wait until it has ended, or end it; then give the same command again."
            )
        time.sleep(_POLL_SECONDS)
        progress_by_key = read()
    missing: dict[SweepRun, str | None] = {}
    for run in stored_sweep.sweep.runs:
        progress = progress_by_key.get(run.key, RunProgress())
        if progress.state in ENDED:
            continue
        missing[run] = None
        if progress.state in ("interrupted", "killed") and progress.folder is not None:
            if (progress.folder / RECIPE_FILE).exists():
                missing[run] = progress.folder.name
            else:  # killed before there was anything to resume
                trash_run(progress.folder)
    return missing


def _read_progress(folder: Path, fields: Mapping[str, Any]) -> RunProgress:
    last = last_values(folder)
    generator, discriminator = last_losses(last)
    return RunProgress(
        state=str(fields.get("sys/status")),
        folder=folder,
        created=str(fields.get("sys/created")),
        ended=fields.get("sys/ended"),
        error=fields.get("sys/error"),
        step=int(last.get("step", 0)),
        epoch=int(last.get(f"{EPOCH}/number", 0)),
        time=last.get("time", 0.0),
        losses=None if generator is None or discriminator is None else (generator, discriminator),
    )
