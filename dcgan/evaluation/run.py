"""A run's generator evaluated, and what came out kept with the run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from dcgan.checkpoint import (
    CHECKPOINT_FOLDER,
    checkpoint_step,
    checkpoints,
    find_checkpoint,
    load_checkpoint,
)
from dcgan.config import Config, load_config
from dcgan.data import ImageSet, load_images
from dcgan.description import RECIPE_FILE
from dcgan.device import choose_device
from dcgan.evaluation.evaluate import RESAMPLES, SAMPLES, Reference, Score, evaluate, make_reference
from dcgan.evaluation.feature_space import feature_space
from dcgan.inference import restored_generator
from dcgan.sampling import draw_latents, generate
from tracking.backends.local import open_tracker, read_fields, read_run
from tracking.errors import StoreError
from tracking.events import CONFIG, EVALUATION, SYS, Fields, Metrics
from tracking.lock import locked
from tracking.tracker import as_status

_BATCH = 256


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
    step: int | None = None,
    samples: int = SAMPLES,
    resamples: int = RESAMPLES,
    device: str = "auto",
) -> Evaluation:
    """Evaluate the generator of a checkpoint, and write the scores into the run's journal.

    step: of the checkpoint, None for the last; of an earlier one nothing is written, since a
    journal goes forward. samples, resamples: fakes of a set, at most as many as half of the
    real images, and sets. Batch norm works by what G has learnt. Values are metrics,
    `evaluation/...`; their spreads and floors are fields, `sys/evaluation/...`.
    Raises StoreError, CheckpointError, ConfigError or DataError.
    """
    recipe = folder / RECIPE_FILE
    if not recipe.exists():
        raise StoreError(f"The run {folder.name} cannot be evaluated: {recipe} is missing.")
    config, chosen = load_config(str(recipe), []), choose_device(device)
    images = _images(folder, config)
    path = find_checkpoint(folder / CHECKPOINT_FOLDER, step)
    state = load_checkpoint(path, chosen)
    generator = restored_generator(config, state, config.images.weights).to(chosen)
    reference = make_reference(images, feature_space(images, chosen), samples)
    draw = partial(_draw, generator, config, chosen)
    scores = evaluate(draw, reference, resamples=resamples)
    is_last = path == checkpoints(folder / CHECKPOINT_FOLDER)[-1]
    if is_last:
        _keep(folder, checkpoint_step(path), scores, reference, resamples)
    return Evaluation(folder.name, checkpoint_step(path), scores, reference, is_last)


def _images(folder: Path, config: Config) -> ImageSet:
    images = load_images(config.dataset)
    if images.card.fingerprint != read_fields(folder).get(f"{CONFIG}/dataset/fingerprint"):
        raise StoreError(
            f"The images in {images.card.path} are not those that the run {folder.name} was "
            "trained on.\nBring them back to evaluate it."
        )
    return images


def _draw(
    generator: nn.Module, config: Config, device: torch.device, count: int, seed: int
) -> Tensor:
    """uint8 images (count, C, H, W); the latents do not depend on the device."""
    source = torch.Generator().manual_seed(seed)
    batches = (min(_BATCH, count - start) for start in range(0, count, _BATCH))
    made = [
        generate(generator, draw_latents(size, config.network, source).to(device), "eval").cpu()
        for size in batches
    ]
    return torch.cat(made).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def _keep(
    folder: Path, step: int, scores: Sequence[Score], reference: Reference, resamples: int
) -> None:
    now = time.time_ns() // 1_000_000
    with locked(folder, patience=0):
        status = as_status(read_fields(folder, alive=False).get(f"{SYS}/status"))
        journal = open_tracker(read_run(folder), folder.parent)
        values = {f"{EVALUATION}/{score.name}": [score.value] for score in scores}
        journal.write(Metrics([step], [now], values))
        prefix = f"{SYS}/{EVALUATION}"
        journal.write(
            Fields(
                {
                    f"{prefix}/samples": scores[0].samples,
                    f"{prefix}/resamples": resamples,
                    f"{prefix}/feature_space": reference.space.description,
                    f"{prefix}/held_out": reference.source,
                    **{f"{prefix}/floor/{score.name}": score.floor for score in scores},
                    **{f"{prefix}/spread/{score.name}": score.spread for score in scores},
                }
            )
        )
        journal.close(status)
