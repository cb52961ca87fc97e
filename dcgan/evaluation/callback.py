"""Evaluation during a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from dcgan.config.schema import Config
from dcgan.data.image_set import ImageSet
from dcgan.evaluation.evaluate_run import evaluation_fields
from dcgan.evaluation.evaluator import RealReference, evaluate, make_reference
from dcgan.evaluation.features.feature_space import feature_spaces
from dcgan.sampling import draw_pixels
from dcgan.training.loop import EvaluateCallback
from tracking.clock import now_ms
from tracking.evaluation_paths import BEST_STEP, best_score_path, is_best_score, metric_of
from tracking.events import EVALUATION, Event, Fields, Metrics
from tracking.metric_directions import improves

SLOW = (
    "Evaluations include plain FID, which takes about 0.1 s of processor time per fake and real "
    "image. Leave it out with --set evaluation.inception=false, or take fewer with --set "
    "evaluation.samples=N."
)


def evaluation_callback(
    config: Config,
    images: ImageSet,
    held_out: ImageSet | None,
    device: torch.device,
    emit: Callable[[Event], None],
    warn: Callable[[str], None],
    best: Mapping[str, float] = MappingProxyType({}),
) -> EvaluateCallback:
    """Make the function that `train` calls to evaluate G: all metrics over one set of fakes.

    The best G is the one with the best Frechet distance, Inception's if its weights are at hand.
    The best distance so far is a metric of its own, such as `evaluation/best_lenet_fid`.

    Args:
        config: The recipe.
        images: What is trained on.
        held_out: Other images of the same kind; None takes half of `images` in their place.
        device: Where G is, and where features are computed.
        emit: Called with the scores, `evaluation/...`, and the fields that describe them.
        warn: Called once if an evaluation fails; training continues without evaluations. Also
            before the first one if it takes long.
        best: The best distance so far by its name, if the run is a resumed one.

    Returns:
        From a step and G to whether this G is the best so far.
    """
    reference: RealReference | None = None
    failed = False
    best_distances = dict(best)

    def evaluate_generator(step: int, generator: nn.Module) -> bool:
        nonlocal reference, failed
        if failed:
            return False
        try:
            if reference is None:
                spaces = feature_spaces(images, device, use_inception=config.evaluation.inception)
                if len(spaces) > 1 and device.type == "cpu":
                    warn(SLOW)
                reference = make_reference(images, held_out, spaces, config.evaluation.samples)
                emit(Fields(evaluation_fields(reference, [], resamples=1)))
            scores = evaluate(
                lambda count, seed: draw_pixels(generator, config.network, device, count, seed),
                reference,
                resamples=1,
            )
        except Exception as error:  # an evaluation that fails must not end the training
            failed = True
            warn(f"The evaluation at step {step} failed: {error}. Training continues.")
            return False
        distance = scores[0]
        best = best_distances.get(distance.name)
        is_best = improves(distance.value, best, distance.better)
        if is_best:
            best = best_distances[distance.name] = distance.value
            emit(Fields({BEST_STEP: step}))
        values = {f"{EVALUATION}/{score.name}": [score.value] for score in scores}
        if best is not None:
            values[best_score_path(distance.name)] = [best]
        emit(Metrics([step], [now_ms()], values))
        return is_best

    return evaluate_generator


def best_so_far(last_values: Mapping[str, float]) -> dict[str, float]:
    """Name of each distance -> the best value so far of a run that is resumed.

    last_values: Metric path -> the last value that the run recorded.
    """
    return {metric_of(path): value for path, value in last_values.items() if is_best_score(path)}
