"""Evaluate a run's generator and keep the scores with the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from dcgan.data.loading import load_held_out
from dcgan.evaluation.evaluator import (
    RESAMPLES,
    VERSION,
    CountImages,
    RealReference,
    Score,
    evaluate,
    known_direction,
    make_reference,
    uncounted,
)
from dcgan.evaluation.features.feature_space import feature_spaces
from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.run_folder.amend import amend
from dcgan.run_folder.trained_run import (
    TrainedRun,
    load_training_images,
    read_config,
    with_images_in,
)
from dcgan.sampling import GenerationError, draw_pixels
from dcgan.training.checkpoint import (
    CheckpointRef,
    checkpoint_step,
    find_checkpoint,
    has_best_mark,
    list_checkpoints,
    mark_best,
)
from dcgan.training.device import choose_device
from tracking.backends.local import last_values, read_fields
from tracking.clock import now_ms
from tracking.errors import warn
from tracking.evaluation_paths import (
    BEST_STEP,
    DIRECTIONS,
    EVALUATION_FIELDS,
    REAL_SCORES,
    SPREADS,
    is_best_score,
)
from tracking.events import EVALUATION, Fields, Metrics, Value
from tracking.lock import check_writable
from tracking.metric_directions import MetricDirection, improves

_MEASUREMENT = ("samples", "feature_space", "held_out", "version")
"""Fields that must be the same for values to belong to one series."""


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """How good the generator of one checkpoint is.

    Attributes:
        run: The run's id.
        step: The training step of the checkpoint.
        scores: One per metric.
        reference: The real images that it was compared with.
        not_kept: Why the scores were not written to the run's journal; None if they were.
    """

    run: str
    step: int
    scores: Sequence[Score]
    reference: RealReference
    not_kept: str | None

    def warn_if_not_kept(self) -> None:
        """Warn that the scores were not written to the run, for who sees no notes beside them."""
        if self.not_kept is not None:
            warn(
                f"The scores of {self.run} at step {self.step:,} are not written to the run, "
                f"because its own were measured differently ({self.not_kept}). Evaluate all "
                "checkpoints to measure them alike."
            )


def evaluate_run(
    folder: Path,
    *,
    which: CheckpointRef | Literal["all"] = "last",
    samples: int | None = None,
    resamples: int = RESAMPLES,
    use_inception: bool | None = None,
    weights: Path | None = None,
    data: Path | None = None,
    device: str = "auto",
    count_images: CountImages = uncounted,
) -> Iterator[EvaluationResult]:
    """Evaluate the generators of checkpoints, and write their scores to the journal.

    Values are metrics, `evaluation/...`, at the steps of the checkpoints; their directions,
    spreads and the scores of real images are fields, `sys/evaluation/...`. Those of one earlier
    checkpoint are not written if the run's own were measured in another way. Batch norm uses the
    statistics that G has learnt.

    Args:
        folder: The run's folder.
        which: The checkpoint, or `all` that are kept, which share the real images' features.
        samples: Fakes per set, at most as many as there are real images of each kind; None for
            the number in the recipe.
        resamples: Sets of fakes.
        use_inception: Whether to use Inception if its weights are at hand; None for what the
            recipe says.
        weights: A file with Inception's weights, which are then used; None looks for it.
        data: Where the run's images are now; None if they are where they were.
        device: `auto`, `cpu`, `cuda` or another name of a torch device.
        count_images: Called while features are computed.

    Yields:
        One result per checkpoint, the earliest first; of `all`, those whose images are finite.

    Raises:
        StoreError: The run is being trained or is read-only; its folder holds no recipe; or its
            images have changed.
        CheckpointError: There is no such checkpoint, or its file is damaged.
        ConfigError: The recipe is not valid.
        DataError: The images cannot be loaded.
        EvaluationError: The file of weights is not Inception's, or there are too few images.
        GenerationError: The images of the generator are not finite, or those of all of them.
    """
    check_writable(folder)
    config, chosen_device = with_images_in(read_config(folder), data), choose_device(device)
    steps = steps_to_evaluate(folder, which)
    images = load_training_images(folder, config)
    spaces = feature_spaces(
        images,
        chosen_device,
        use_inception=config.evaluation.inception if use_inception is None else use_inception,
        weights=weights,
    )
    held_out = load_held_out(config.dataset, config.evaluation.held_out)
    reference = make_reference(
        images, held_out, spaces, samples or config.evaluation.samples, count_images
    )
    distances: dict[Path, float] = {}
    diverged: GenerationError | None = None
    for step in steps:
        run = TrainedRun.open(folder, step, chosen_device)
        draw = partial(draw_pixels, run.generator(), config.network, chosen_device)
        try:
            scores = evaluate(draw, reference, resamples=resamples, count_images=count_images)
        except GenerationError as error:
            if which != "all":
                raise
            # The best of the others is what a run that diverged is still good for.
            diverged = error
            warn(f"The checkpoint of step {step:,} is left out: {str(error).partition(chr(10))[0]}")
            continue
        fields = evaluation_fields(reference, scores, resamples)
        not_kept = None
        if which != "all" and not run.is_latest:
            recorded = read_fields(folder)
            not_kept = _different_measurement(recorded, fields)
            fields = {path: value for path, value in fields.items() if path not in recorded}
        if not_kept is None:
            values = {f"{EVALUATION}/{score.name}": [score.value] for score in scores}
            amend(folder, [Metrics([run.step], [now_ms()], values), Fields(fields)])
        distances[run.checkpoint] = scores[0].value
        yield EvaluationResult(folder.name, run.step, scores, reference, not_kept)
    if diverged is not None and not distances:
        raise diverged
    if which == "all":
        _mark_best_of(distances, scores[0].better)


def _mark_best_of(distances: Mapping[Path, float], direction: MetricDirection) -> None:
    """Mark the best checkpoint of a run that was not evaluated while it trained.

    An earlier mark of this function is replaced: the run may have been trained further.
    """
    run = next(iter(distances)).parents[1]
    if any(map(is_best_score, last_values(run))) and any(map(has_best_mark, distances)):
        return
    best: Path | None = None
    for path, distance in distances.items():
        if improves(distance, None if best is None else distances[best], direction):
            best = path
    if best is not None:
        mark_best(best)
        amend(run, [Fields({BEST_STEP: checkpoint_step(best)})])


def _different_measurement(
    recorded: Mapping[str, Value], fields: Mapping[str, Value]
) -> str | None:
    """How the run's own scores were measured, if differently from `fields`; else None."""
    compared = {f"{EVALUATION_FIELDS}/{name}": name for name in _MEASUREMENT}
    different = [
        f"{name.replace('_', ' ')}: {recorded[path]}"
        for path, name in compared.items()
        if path in recorded and recorded[path] != fields[path]
    ]
    return "; ".join(different) or None


def steps_to_evaluate(folder: Path, which: CheckpointRef | Literal["all"]) -> list[int]:
    """The steps of the chosen checkpoints of a run; raises CheckpointError if there are none."""
    checkpoints = list_checkpoints(folder / CHECKPOINT_DIR)
    if which != "all" or not checkpoints:
        checkpoints = [
            find_checkpoint(folder / CHECKPOINT_DIR, "last" if which == "all" else which)
        ]
    return [checkpoint_step(path) for path in checkpoints]


def evaluation_fields(
    reference: RealReference, scores: Sequence[Score], resamples: int
) -> dict[str, Value]:
    """The fields that describe an evaluation, stored with the run beside the scores.

    Args:
        reference: The real images.
        scores: The generator's; empty before the first evaluation.
        resamples: Sets of fakes.

    Returns:
        Paths `sys/evaluation/...` -> values.
    """
    prefix = EVALUATION_FIELDS
    return {
        f"{prefix}/samples": len(reference.train),
        f"{prefix}/resamples": resamples,
        f"{prefix}/feature_space": reference.description,
        **{
            f"{prefix}/features/{each.space.prefix.rstrip('_') or 'inception'}": (
                each.space.description
            )
            for each in reference.spaces
        },
        f"{prefix}/held_out": reference.source,
        f"{prefix}/arithmetic": "float32",
        f"{prefix}/version": VERSION,
        **{f"{DIRECTIONS}/{name}": known_direction(name) for name in reference.real_scores},
        **{f"{REAL_SCORES}/{name}": score for name, score in reference.real_scores.items()},
        **{f"{SPREADS}/{score.name}": score.spread for score in scores},
    }
