"""Evaluate a run's generator and keep the scores with the run."""

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
    """How good the generator of one checkpoint is.

    Attributes:
        run: The run's id.
        step: The training step of the checkpoint.
        scores: One per metric.
        reference: The real images that it was measured by.
        kept: Whether the scores were written to the run's journal.
    """

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
    """Evaluate the generators of checkpoints, and write the last one's scores to the journal.

    The scores of earlier checkpoints are not written, since a journal only goes forward. Values
    are metrics, `evaluation/...`; their directions, spreads and the scores of real images are
    fields, `sys/evaluation/...`. Batch norm uses the statistics that G has learnt.

    Args:
        folder: The run's folder.
        which: The checkpoint, or `all` that are kept.
        samples: Fakes per set, at most as many as there are real images of each kind; None for
            the number in the recipe.
        resamples: Sets of fakes.
        weights: A file with Inception's weights; None looks for it in the cache.
        device: `auto`, `cpu`, `cuda` or another name of a torch device.

    Yields:
        One result per checkpoint, the earliest first.

    Raises:
        StoreError: The folder holds no recipe, or the run's images have changed.
        CheckpointError: There is no such checkpoint, or its file is damaged.
        ConfigError: The recipe is not valid.
        DataError: The images cannot be loaded.
        EvaluationError: The file of weights is not Inception's.
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
    """The steps of the chosen checkpoints; raises CheckpointError if there are none."""
    checkpoints = list_checkpoints(folder / CHECKPOINT_DIR)
    if which != "all" or not checkpoints:
        checkpoints = [
            find_checkpoint(folder / CHECKPOINT_DIR, "last" if which == "all" else which)
        ]
    return [checkpoint_step(path) for path in checkpoints]


def evaluation_fields(
    reference: RealReference, scores: Sequence[Score], resamples: int
) -> dict[str, Value]:
    """What is stored with a run about its evaluation, beside the values.

    Args:
        reference: The real images that it is measured by.
        scores: What the generator got; empty before the first evaluation.
        resamples: Sets of fakes.

    Returns:
        Paths `sys/evaluation/...` -> values.
    """
    prefix = f"{SYS}/{EVALUATION}"
    return {
        f"{prefix}/samples": len(reference.train),
        f"{prefix}/resamples": resamples,
        f"{prefix}/feature_space": reference.space.description,
        f"{prefix}/held_out": reference.source,
        **{f"{prefix}/better/{name}": reference.direction(name) for name in reference.real_scores},
        **{f"{prefix}/floor/{name}": score for name, score in reference.real_scores.items()},
        **{f"{prefix}/spread/{score.name}": score.spread for score in scores},
    }
