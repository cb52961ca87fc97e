"""The best checkpoint of a run that is resumed, whose journal was rewound."""

from __future__ import annotations

from pathlib import Path

from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.training.checkpoint import (
    best_checkpoint,
    checkpoint_step,
    drop_lost_marks,
    mark_best,
)
from tracking.backends.local import last_values, read_steps
from tracking.evaluation_paths import is_best_score


def settle_best_step(folder: Path, checkpoint: Path | None) -> int | None:
    """Make the mark of the best checkpoint agree with the journal of a run that is resumed.

    A training can be killed between an evaluation and the mark.

    Args:
        folder: The run's folder.
        checkpoint: The checkpoint that it resumes from; None if it starts at its first step.

    Returns:
        The step of the best checkpoint; None if there is none.
    """
    drop_lost_marks(folder / CHECKPOINT_DIR)
    if checkpoint is not None and _is_best_evaluated(folder, checkpoint_step(checkpoint)):
        mark_best(checkpoint)
    best = best_checkpoint(folder / CHECKPOINT_DIR)
    return None if best is None else checkpoint_step(best)


def _is_best_evaluated(folder: Path, step: int) -> bool:
    """Whether the best score so far is that of a step, by the journal."""
    paths = [path for path in last_values(folder) if is_best_score(path)]
    if not paths:
        return False
    steps = read_steps(folder).set_index("step")
    series = [steps[path].dropna() for path in paths]
    return any(best.index[best == best.iloc[-1]][0] == step for best in series)
