"""A run's generator evaluated, and what came out kept with the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from dcgan.data.loading import load_held_out
from dcgan.evaluation.evaluator import RESAMPLES, RealReference, Score, evaluate, make_reference
from dcgan.evaluation.features.feature_space import feature_space
from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.run_folder.amend import amend
from dcgan.run_folder.trained_run import TrainedRun, load_training_images, read_config
from dcgan.sampling import draw_pixels
from dcgan.training.checkpoint import (
    CheckpointRef,
    checkpoint_step,
    find_checkpoint,
    list_checkpoints,
)
from dcgan.training.device import choose_device
from tracking.clock import now_ms
from tracking.events import EVALUATION, SYS, Fields, Metrics, Value


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """step: of the checkpoint. kept: whether the scores are in the journal now."""

    run: str
    step: int
    scores: Sequence[Score]
    reference: RealReference
    kept: bool


def evaluate_run(
    folder: Path,
    *,
    which: CheckpointRef | Literal["all"] = "last",
    samples: int | None = None,
    resamples: int = RESAMPLES,
    weights: Path | None = None,
    device: str = "auto",
) -> Iterator[EvaluationResult]:
    """Evaluate the generators of checkpoints, and write the last one's scores into the journal.

    Those of an earlier one are not written, since a journal goes forward. samples: fakes of a
    set, at most as many as there are real images of each kind; None for what the recipe says.
    resamples: sets. weights: a file of Inception's. Batch norm works by what G has learnt.
    Values are metrics, `evaluation/...`; their spreads and floors are fields,
    `sys/evaluation/...`.
    Raises StoreError, CheckpointError, ConfigError, DataError or EvaluationError.
    """
    config, chosen_device = read_config(folder), choose_device(device)
    steps = _steps_of(folder, which)
    images = load_training_images(folder, config)
    space = feature_space(images, chosen_device, weights)
    held_out = load_held_out(config.dataset, config.evaluation.held_out)
    reference = make_reference(images, held_out, space, samples or config.evaluation.samples)
    for step in steps:
        run = TrainedRun.open(folder, step, chosen_device)
        draw = partial(draw_pixels, run.generator(), config.network, chosen_device)
        scores = evaluate(draw, reference, resamples=resamples)
        if run.is_latest:
            values = {f"{EVALUATION}/{score.name}": [score.value] for score in scores}
            metrics = Metrics([run.step], [now_ms()], values)
            amend(folder, [metrics, Fields(evaluation_fields(reference, scores, resamples))])
        yield EvaluationResult(folder.name, run.step, scores, reference, run.is_latest)


def _steps_of(folder: Path, which: CheckpointRef | Literal["all"]) -> list[int]:
    """The steps of the checkpoints that are asked for; raises CheckpointError without any."""
    checkpoints = list_checkpoints(folder / CHECKPOINT_DIR)
    if which != "all" or not checkpoints:
        checkpoints = [
            find_checkpoint(folder / CHECKPOINT_DIR, "last" if which == "all" else which)
        ]
    return [checkpoint_step(path) for path in checkpoints]


def evaluation_fields(
    reference: RealReference, scores: Sequence[Score], resamples: int
) -> dict[str, Value]:
    """What a run says of its evaluation beside the values."""
    prefix = f"{SYS}/{EVALUATION}"
    return {
        f"{prefix}/samples": len(reference.train),
        f"{prefix}/resamples": resamples,
        f"{prefix}/feature_space": reference.space.description,
        f"{prefix}/held_out": reference.source,
        **{f"{prefix}/floor/{name}": floor for name, floor in reference.floors.items()},
        **{f"{prefix}/spread/{score.name}": score.spread for score in scores},
    }
