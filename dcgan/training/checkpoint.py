"""Checkpoints: all that an interrupted run needs to go on as if nothing had happened."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import torch

from tracking.atomic_files import atomic_write
from tracking.errors import UserError

CheckpointState: TypeAlias = dict[str, Any]
"""Nested dictionaries of tensors and plain values, as `state_dict()` gives them."""


CheckpointRef: TypeAlias = int | Literal["last", "best"]
"""A checkpoint by its step, the last one, or the best by evaluation."""


class SaveCheckpoint(Protocol):
    """Keeps the state after `step`: a marked one for good, the best until a better one comes."""

    def __call__(
        self, step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
    ) -> object: ...


def no_checkpoints(
    step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
) -> None:
    """The SaveCheckpoint of trainings that nobody will go on with."""


KEPT = 2
"""So many of the newest checkpoints are kept, beside the marked ones and the best."""


class CheckpointError(UserError):
    """A checkpoint that is missing or cannot be read, in words for the user."""


def save_checkpoint(
    folder: Path, step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
) -> Path:
    """Write the checkpoint of `step`, then delete all but the last two, the marked and the best.

    It is whole or absent whenever the process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    with atomic_write(path) as temporary:
        torch.save(state, temporary)
    if marked:
        _mark(path, "keep").touch()
    if best:
        _mark(path, "best").touch()
        for mark in set(folder.glob("step-*.best")) - {_mark(path, "best")}:
            mark.unlink()
    for old in list_checkpoints(folder)[:-KEPT]:
        if not any(_mark(old, reason).exists() for reason in ("keep", "best")):
            old.unlink()
    return path


def load_checkpoint(path: Path, device: torch.device) -> CheckpointState:
    """Read a checkpoint; raises CheckpointError where the file is damaged."""
    try:
        state: CheckpointState = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error}") from error
    return state


def list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints in a folder, the oldest first."""
    return sorted(folder.glob("step-*.pt"))


def find_checkpoint(folder: Path, which: CheckpointRef = "last") -> Path:
    """The checkpoint of a step, the last one, or the best by evaluation.

    Raises CheckpointError where there is none.
    """
    found = list_checkpoints(folder)
    if not found:
        raise CheckpointError(f"There is no checkpoint in {folder}.")
    if which == "last":
        return found[-1]
    if which == "best":
        best = [path for path in found if _mark(path, "best").exists()]
        if not best:
            raise CheckpointError(
                "No checkpoint of this run is known as the best: it was not evaluated while it "
                "trained.\nTrain with --evaluate-every 1, or take a checkpoint by its step."
            )
        return best[-1]
    path = folder / f"step-{which:08d}.pt"
    if path not in found:
        there = ", ".join(str(checkpoint_step(each)) for each in found)
        raise CheckpointError(f"There is no checkpoint of step {which}; there are: {there}.")
    return path


def checkpoint_step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _mark(path: Path, reason: Literal["keep", "best"]) -> Path:
    return path.with_suffix(f".{reason}")
