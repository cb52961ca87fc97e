"""Which checkpoint is the best after all of them were evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.evaluation.evaluate_run import _mark_best_of
from dcgan.training.checkpoint import best_checkpoint, mark_best
from tracking.backends.local import open_tracker, read_fields
from tracking.evaluation_paths import BEST_STEP, best_score_path
from tracking.events import Metrics
from tracking.tracker import Run


@pytest.mark.parametrize("while_trained", [False, True])
def test_a_run_that_was_trained_further_has_another_best(
    tmp_path: Path, while_trained: bool
) -> None:
    """Unless it was evaluated while it trained: then also checkpoints that are gone count."""
    journal = open_tracker(Run("one", "one", 1), tmp_path)
    if while_trained:
        journal.write(Metrics([10], [1], {best_score_path("lenet_fid"): [600.0]}))
    journal.close("finished")
    checkpoints = tmp_path / "one" / "checkpoints"
    checkpoints.mkdir()
    files = [checkpoints / f"step-{step:08d}.pt" for step in (10, 20, 30)]
    for file in files:
        file.touch()
    mark_best(files[0])

    _mark_best_of(dict(zip(files, (600.0, 100.0, 200.0), strict=True)), "lower")

    assert best_checkpoint(checkpoints) == files[0 if while_trained else 1]
    assert read_fields(tmp_path / "one").get(BEST_STEP) == (None if while_trained else 20)
