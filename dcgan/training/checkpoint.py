"""Checkpoints: everything that an interrupted run needs to resume as if it had never stopped."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, cast

import torch

from tracking.atomic_files import atomic_write
from tracking.errors import UserError

CheckpointState: TypeAlias = dict[str, Any]
"""Nested dictionaries of tensors and plain values, as `state_dict()` returns them."""

CheckpointRef: TypeAlias = int | Literal["last", "best"]
"""A checkpoint by its step, the last one, or the best by evaluation."""


def parse_checkpoint_ref(text: str) -> CheckpointRef | None:
    """The checkpoint that `last`, `best` or a step names; None for any other text."""
    if text in ("last", "best"):
        return cast(Literal["last", "best"], text)
    return int(text) if text.isdecimal() else None


class SaveCheckpoint(Protocol):
    """Stores the state of a training; see `save_checkpoint` for the one that writes files."""

    def __call__(
        self, step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
    ) -> object:
        """Store a state.

        Args:
            step: Training steps done.
            state: What `TrainingState.to_checkpoint` returned.
            marked: Never delete it.
            best: Keep it until a better one is saved.
        """


def no_checkpoints(
    step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
) -> None:
    """The SaveCheckpoint of a training that will never be resumed.

    Args:
        step: Ignored.
        state: Ignored.
        marked: Ignored.
        best: Ignored.
    """


_FILE_NAME = re.compile(r"step-[0-9]{8,}\.pt")

NEWEST_KEPT = 2
"""Number of newest checkpoints to keep, besides the marked ones and the best."""


class CheckpointError(UserError):
    """A checkpoint that is missing or cannot be read."""


def save_checkpoint(
    folder: Path, step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
) -> Path:
    """Write a checkpoint, then delete all but the two newest, the marked ones and the best.

    The file is complete or absent, even if the process dies while writing.

    Args:
        folder: The checkpoint folder; created if it does not exist.
        step: Training steps done; part of the file's name.
        state: What `TrainingState.to_checkpoint` returned.
        marked: Never delete this checkpoint.
        best: Keep this checkpoint until one with a better evaluation is saved.

    Returns:
        The file of the checkpoint.

    Raises:
        OSError: The folder cannot be written to.
        RuntimeError: PyTorch cannot write the file, for example because the disk is full.
    """
    if folder.is_symlink():
        raise FileExistsError(
            f"{folder} is a link, and links are not followed to write or delete files"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    with atomic_write(path) as temporary:
        torch.save(state, temporary)
    if marked:
        _mark(path, "keep").touch()
    if best:
        mark_best(path)
    delete_old_checkpoints(folder)
    return path


def delete_old_checkpoints(folder: Path) -> None:
    """Delete all but the two newest checkpoints, the marked ones and the best."""
    for old in list_checkpoints(folder)[:-NEWEST_KEPT]:
        if not any(_mark(old, reason).exists() for reason in ("keep", "best")):
            old.unlink()


def mark_best(path: Path) -> None:
    """Make a checkpoint the best of its run in place of any other."""
    _mark(path, "best").touch()
    for mark in set(path.parent.glob("step-*.best")) - {_mark(path, "best")}:
        mark.unlink()


def has_best_mark(path: Path) -> bool:
    """Whether a checkpoint is the best of its run."""
    return _mark(path, "best").exists()


def best_checkpoint(folder: Path) -> Path | None:
    """The file of the checkpoint that is marked as the best; None if there is none."""
    return next(filter(has_best_mark, reversed(list_checkpoints(folder))), None)


def drop_lost_marks(folder: Path) -> None:
    """Delete marks of checkpoints that are gone, lest they count for new ones of their steps."""
    for mark in folder.glob("step-*.best"):
        if not mark.with_suffix(".pt").exists():
            mark.unlink()


def load_checkpoint(path: Path) -> CheckpointState:
    """Read a checkpoint onto the CPU; it holds float64, which not every device can hold.

    Raises CheckpointError if the file is damaged, or is not that of the step in its name.
    """
    try:
        _check_digests(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler raises almost anything on a damaged file
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error}") from error
    if not isinstance(state, dict) or state.get("step") != checkpoint_step(path):
        raise CheckpointError(
            f"The file {path} is not a checkpoint of step {checkpoint_step(path)}."
        )
    return state


@contextmanager
def restoring(step: int) -> Iterator[None]:
    """Turn PyTorch's exceptions on the state of a different network into a CheckpointError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"The checkpoint of step {step} does not fit this run's networks: {error}"
        ) from error


def list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoint files in a folder, oldest first; no link is followed."""
    if folder.is_symlink():
        return []
    paths = [path for path in folder.glob("step-*.pt") if _FILE_NAME.fullmatch(path.name)]
    return sorted((path for path in paths if not path.is_symlink()), key=checkpoint_step)


def find_checkpoint(folder: Path, which: CheckpointRef = "last") -> Path:
    """The file of a step's checkpoint, of the last one, or of the best by evaluation.

    Raises CheckpointError if there is no such checkpoint.
    """
    paths = list_checkpoints(folder)
    if not paths:
        raise CheckpointError(
            f"There is no checkpoint of the run {folder.parent.name}: its networks are not known.\n"
            "It was stored without them, or ended before the first. To have them, train it again."
        )
    if which == "last":
        return paths[-1]
    if which == "best":
        best = best_checkpoint(folder)
        if best is None:
            raise CheckpointError(
                "This run has no best checkpoint, because its checkpoints were not evaluated.\n"
                "Evaluate them with dcgan evaluate --checkpoint all, or while training with "
                "--evaluate-every 1, or choose a checkpoint by its step."
            )
        return best
    steps = {checkpoint_step(path): path for path in paths}
    if which not in steps:
        kept = ", ".join(map(str, steps))
        name = f"of step {which}" if isinstance(which, int) else repr(which)
        raise CheckpointError(f"There is no checkpoint {name}; choose one of: {kept}, last.")
    return steps[which]


def checkpoint_step(path: Path) -> int:
    """The training step of a checkpoint, read from its file's name."""
    return int(path.stem.removeprefix("step-"))


def _mark(path: Path, reason: Literal["keep", "best"]) -> Path:
    """The empty file beside a checkpoint that says why it is kept."""
    return path.with_suffix(f".{reason}")


def _check_digests(path: Path) -> None:
    """Compare every record of the file with its CRC-32, which PyTorch writes but does not check."""
    with zipfile.ZipFile(path) as records:
        if damaged := records.testzip():
            raise CheckpointError(f"its record {damaged} is damaged.")
