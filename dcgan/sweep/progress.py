"""How far the runs of a sweep are: workers answer nothing while they train, journals tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcgan.run_folder import RECIPE_FILE
from dcgan.sweep.plan import Key, SweepRun
from dcgan.sweep.storage import StoredSweep
from tracking.backends.local import last_values, read_fields, run_folders
from tracking.errors import StoreError
from tracking.events import BATCH, EPOCH, SWEEP
from tracking.store import trash_run

_LOOK_SECONDS = 0.5
_ORPHAN_SECONDS = 60.0


@dataclass(frozen=True)
class RunProgress:
    """How far a run is, from its journal.

    state: a run's status, or `waiting`. step, epoch: done. time: of that step, milliseconds
    since the Unix epoch. losses: of G and D, means of the last epoch, or of the last batch
    where none is complete.
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


def progress_reader(started: StoredSweep) -> Callable[[], dict[Key, RunProgress]]:
    """A function that reads how far each run of a sweep is; of a run begun twice the newer one."""
    keys: dict[Path, Key | None] = {}
    finished: dict[Path, RunProgress] = {}

    def read_one(folder: Path) -> RunProgress | None:
        """None for a run that is not of this sweep, or has yet to say so."""
        if folder in finished:
            return finished[folder]
        if keys.get(folder, ()) is None:
            return None
        fields = read_fields(folder)
        if "sys/recipe" not in fields:
            return None
        keys[folder] = None
        if fields.get(f"{SWEEP}/id") == started.id:
            keys[folder] = (str(fields[f"{SWEEP}/arm"]), int(str(fields["sys/seed"])))
            standing = _standing(folder, fields)
            if standing.state == "finished":
                finished[folder] = standing
            return standing
        return None

    def read() -> dict[Key, RunProgress]:
        found: dict[Key, RunProgress] = {}
        for folder in run_folders(started.store):
            standing, key = read_one(folder), keys.get(folder)
            if standing and key and (key not in found or found[key].created < standing.created):
                found[key] = standing
        return found

    return read


def missing_runs(started: StoredSweep) -> dict[SweepRun, str | None]:
    """The runs that a sweep lacks, each with the id of the run that goes on, if one does.

    Waits for workers that outlived a sweep that was killed: they stop by themselves. Raises
    StoreError where one does not.
    """
    read = progress_reader(started)
    deadline = time.monotonic() + _ORPHAN_SECONDS
    found = read()
    while running := [each for each in found.values() if each.state == "running"]:
        if time.monotonic() > deadline:
            names = ", ".join(str(each.folder and each.folder.name) for each in running)
            raise StoreError(f"Another process still trains runs of {started.id}: {names}.")
        time.sleep(_LOOK_SECONDS)
        found = read()
    missing: dict[SweepRun, str | None] = {}
    for trial in started.sweep.trials:
        standing = found.get(trial.key, RunProgress())
        if standing.state == "finished":
            continue
        missing[trial] = None
        if standing.state in ("interrupted", "killed") and standing.folder is not None:
            if (standing.folder / RECIPE_FILE).exists():
                missing[trial] = standing.folder.name
            else:  # it was killed before there was anything to go on from
                trash_run(standing.folder)
    return missing


def _standing(folder: Path, fields: Mapping[str, Any]) -> RunProgress:
    last = last_values(folder)
    names = [f"{each}/{loss}" for each in (EPOCH, BATCH) for loss in ("Gloss", "Dloss")]
    losses = [last[name] for name in names if name in last][:2]
    return RunProgress(
        state=str(fields.get("sys/status")),
        folder=folder,
        created=str(fields.get("sys/created")),
        ended=fields.get("sys/ended"),
        error=fields.get("sys/error"),
        step=int(last.get("step", 0)),
        epoch=int(last.get(f"{EPOCH}/number", 0)),
        time=last.get("time", 0.0),
        losses=(losses[0], losses[1]) if losses else None,
    )
