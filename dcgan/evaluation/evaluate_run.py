"""A run's generator evaluated, and what came out kept with the run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from dcgan.data.loading import load_held_out
from dcgan.evaluation.evaluator import RESAMPLES, Reference, Score, evaluate, make_reference
from dcgan.evaluation.features.feature_space import feature_space
from dcgan.run_folder.amend import amend
from dcgan.run_folder.trained_run import config_of, images_of, restored_generator
from dcgan.sampling import draw_pixels
from dcgan.training.checkpoint import (
    CHECKPOINT_FOLDER,
    checkpoint_step,
    checkpoints,
    find_checkpoint,
    load_checkpoint,
)
from dcgan.training.device import choose_device
from tracking.events import EVALUATION, SYS, Fields, Metrics, Value

Which: TypeAlias = int | Literal["last", "best", "all"]
"""A checkpoint by its step, the last, the best by evaluation, or all that are kept."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """step: of the checkpoint. kept: whether the scores are in the journal now."""

    run: str
    step: int
    scores: Sequence[Score]
    reference: Reference
    kept: bool


def evaluate_run(
    folder: Path,
    *,
    which: Which = "last",
    samples: int | None = None,
    resamples: int = RESAMPLES,
    weights: Path | None = None,
    device: str = "auto",
) -> Iterator[Evaluation]:
    """Evaluate the generators of checkpoints, and write the last one's scores into the journal.

    Those of an earlier one are not written, since a journal goes forward. samples: fakes of a
    set, at most as many as there are real images of each kind; None for what the recipe says.
    resamples: sets. weights: a file of Inception's. Batch norm works by what G has learnt.
    Values are metrics, `evaluation/...`; their spreads and floors are fields,
    `sys/evaluation/...`.
    Raises StoreError, CheckpointError, ConfigError, DataError or EvaluationError.
    """
    config, chosen = config_of(folder), choose_device(device)
    kept = checkpoints(folder / CHECKPOINT_FOLDER)
    if which != "all" or not kept:
        kept = [find_checkpoint(folder / CHECKPOINT_FOLDER, "last" if which == "all" else which)]
    images = images_of(folder, config)
    space = feature_space(images, chosen, weights)
    held_out = load_held_out(config.dataset, config.evaluation.held_out)
    reference = make_reference(images, held_out, space, samples or config.evaluation.samples)
    for path in kept:
        state = load_checkpoint(path, chosen)
        generator = restored_generator(config, state, config.images.weights).to(chosen)
        draw = partial(draw_pixels, generator, config.network, chosen)
        scores = evaluate(draw, reference, resamples=resamples)
        is_last = path == checkpoints(folder / CHECKPOINT_FOLDER)[-1]
        if is_last:
            now = time.time_ns() // 1_000_000
            values = {f"{EVALUATION}/{score.name}": [score.value] for score in scores}
            metrics = Metrics([checkpoint_step(path)], [now], values)
            amend(folder, [metrics, Fields(about(reference, scores, resamples))])
        yield Evaluation(folder.name, checkpoint_step(path), scores, reference, is_last)


def about(reference: Reference, scores: Sequence[Score], resamples: int) -> dict[str, Value]:
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
