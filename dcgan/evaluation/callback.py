"""Evaluation during a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from dcgan.config.schema import Config
from dcgan.data.image_set import ImageSet
from dcgan.evaluation.evaluate_run import evaluation_fields
from dcgan.evaluation.evaluator import RealReference, evaluate, make_reference
from dcgan.evaluation.features.feature_space import feature_space
from dcgan.sampling import draw_pixels
from dcgan.training.loop import EvaluateCallback
from tracking.clock import now_ms
from tracking.events import EVALUATION, SYS, Event, Fields, Metrics

BEST_STEP = f"{SYS}/{EVALUATION}/best_step"
"""The field that holds the step of a run's best checkpoint."""

_BEST = f"{EVALUATION}/best_"


def evaluation_callback(
    config: Config,
    images: ImageSet,
    held_out: ImageSet | None,
    device: torch.device,
    emit: Callable[[Event], None],
    warn: Callable[[str], None],
    best: float | None = None,
) -> EvaluateCallback:
    """Make what `train` calls to evaluate its G: all metrics over one set of fakes.

    The best G is the one with the smallest Frechet distance; the best distance so far is a metric
    of its own, such as `evaluation/best_lenet_fid`.

    Args:
        config: The recipe.
        images: What is trained on.
        held_out: Other images of the same kind; None takes half of `images` in their place.
        device: Where G is, and where features are computed.
        emit: Tracks the values, `evaluation/...`, and the fields that describe them.
        warn: Called once if an evaluation fails; the training goes on without further ones.
        best: The best distance so far, if the run is a resumed one.

    Returns:
        From a step and G to whether this G is the best so far.
    """
    reference: RealReference | None = None
    failed = False

    def evaluate_generator(step: int, generator: nn.Module) -> bool:
        nonlocal reference, best, failed
        if failed:
            return False
        try:
            if reference is None:
                space = feature_space(images, device)
                reference = make_reference(images, held_out, space, config.evaluation.samples)
                emit(Fields(evaluation_fields(reference, [], resamples=1)))
            scores = evaluate(
                lambda count, seed: draw_pixels(generator, config.network, device, count, seed),
                reference,
                resamples=1,
            )
        except Exception as error:  # an evaluation that fails must not end the training
            failed = True
            warn(f"The evaluation at step {step} failed: {error}. The training goes on.")
            return False
        distance = scores[0]
        finite = math.isfinite(distance.value)
        is_best = finite and (best is None or distance.value <= best)
        if is_best:
            best = distance.value
            emit(Fields({BEST_STEP: step}))
        values = {f"{EVALUATION}/{score.name}": [score.value] for score in scores}
        if best is not None:
            values[f"{EVALUATION}/best_{distance.name}"] = [best]
        emit(Metrics([step], [now_ms()], values))
        return is_best

    return evaluate_generator


def best_so_far(last_values: Mapping[str, float]) -> float | None:
    """The best distance of a run that is resumed, from the last values of its metrics."""
    return next((value for path, value in last_values.items() if path.startswith(_BEST)), None)
