"""Saves the checkpoints of a tracked run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dcgan.training.checkpoint import (
    CheckpointState,
    best_checkpoint,
    checkpoint_step,
    delete_old_checkpoints,
    find_checkpoint,
    mark_best,
    save_checkpoint,
)
from tracking.evaluation_paths import BEST_STEP
from tracking.events import Event, Fields
from tracking.fanout import Warn


class CheckpointSaver:
    """Saves checkpoints; if that fails, it warns once and lets the training continue.

    Attributes:
        step: The step of the newest checkpoint, saved or not; None before the first.
        problem: Why it could not be saved; None if it was.
    """

    def __init__(self, folder: Path, warn: Warn, emit: Callable[[Event], None]) -> None:
        """Save nothing yet.

        Args:
            folder: The folder of the run's checkpoints.
            warn: Called with a message if a checkpoint cannot be written, the first time.
            emit: Called with the step of the best checkpoint if a better one cannot be written.
        """
        self._folder = folder
        self._warn = warn
        self._emit = emit
        self._has_warned = False
        self._written_step: int | None = None
        self.step: int | None = None
        self.problem: str | None = None

    def __call__(
        self, step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
    ) -> None:
        """Save a checkpoint; see `SaveCheckpoint`.

        Args:
            step: Training steps done.
            state: What `TrainingState.to_checkpoint` returned.
            marked: Never delete it.
            best: Keep it until a better one is saved.
        """
        self.step, self.problem = step, None
        try:
            self._save(step, state, marked=marked, best=best)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises the latter
            if self._written_step == step:
                message = f"cannot be marked as the best: {error}. The training continues."
            else:
                self.problem = str(error)
                message = (
                    f"cannot be written: {error}. "
                    "The training continues; it can be resumed from the checkpoint before."
                )
            if best:
                kept = best_checkpoint(self._folder)
                self._emit(Fields({BEST_STEP: None if kept is None else checkpoint_step(kept)}))
            if not self._has_warned:
                self._has_warned = True
                self._warn(f"The checkpoint of step {step} {message}")

    def _save(self, step: int, state: CheckpointState, *, marked: bool, best: bool) -> None:
        # An evaluation changes nothing, and to write the same again could fill the disk.
        if best and self._written_step == step:
            mark_best(find_checkpoint(self._folder, step))
            delete_old_checkpoints(self._folder)
            return
        save_checkpoint(self._folder, step, state, marked=marked, best=best)
        self._written_step = step
