"""Checkpoints: all that an interrupted run needs to go on as if nothing had happened."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch

from tracking.errors import UserError
from tracking.files import replacing

State: TypeAlias = dict[str, Any]
"""Nested dictionaries of tensors and plain values, as `state_dict()` gives them."""


class SaveCheckpoint(Protocol):
    """Keeps the state after `step`; a marked one for good."""

    def __call__(self, step: int, state: State, *, marked: bool = False) -> object: ...


KEPT = 2
CHECKPOINT_FOLDER = "checkpoints"
"""Within the folder of a run."""


class CheckpointError(UserError):
    """A checkpoint that is missing or cannot be read, in words for the user."""


def save_checkpoint(folder: Path, step: int, state: State, *, marked: bool = False) -> Path:
    """Write the checkpoint of `step`, then delete all but the last two and the marked ones.

    It is whole or absent whenever the process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    with replacing(path) as temporary:
        torch.save(state, temporary)
    if marked:
        _mark(path).touch()
    for old in checkpoints(folder)[:-KEPT]:
        if not _mark(old).exists():
            old.unlink()
    return path


def load_checkpoint(path: Path, device: torch.device) -> State:
    """Read a checkpoint; raises CheckpointError where the file is damaged."""
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error}") from error
    return state


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints in a folder, the oldest first."""
    return sorted(folder.glob("step-*.pt"))


def find_checkpoint(folder: Path, step: int | None = None) -> Path:
    """The checkpoint of `step`, or the last; raises CheckpointError where there is none."""
    found = checkpoints(folder)
    if not found:
        raise CheckpointError(f"There is no checkpoint in {folder}.")
    if step is None:
        return found[-1]
    path = folder / f"step-{step:08d}.pt"
    if path not in found:
        there = ", ".join(str(checkpoint_step(each)) for each in found)
        raise CheckpointError(f"There is no checkpoint of step {step}; there are: {there}.")
    return path


def checkpoint_step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _mark(path: Path) -> Path:
    return path.with_suffix(".keep")
