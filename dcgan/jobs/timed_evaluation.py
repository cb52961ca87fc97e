"""A run's evaluations during its training: timed, not repeated, and ended by a signal."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from torch import nn

from dcgan.jobs.prepare import Job
from dcgan.jobs.signals import ending_at_once
from dcgan.training.loop import EvaluateCallback
from tracking.backends.local import last_values, read_fields
from tracking.evaluation_paths import BEST_STEP
from tracking.events import EVALUATION, Event
from tracking.fanout import Warn
from tracking.tracker import Held


def timed_evaluation(
    job: Job,
    folder: Path,
    held: Held,
    emit: Callable[[Event], None],
    warn: Warn,
    on_duration: Callable[[float], None],
    *,
    interrupted: Callable[[], bool] | None,
) -> EvaluateCallback | None:
    """The recipe's evaluation during training; None if it has none.

    Args:
        job: The run.
        folder: The run's folder.
        held: What the journal had when the run was resumed; evaluations in it are not repeated.
        emit: Tracks the values.
        warn: Called if an evaluation fails.
        on_duration: Called with the duration of each evaluation, in seconds.
        interrupted: Whether a signal has asked the training to stop. It then ends at once, before
            or in an evaluation, which may take half an hour: the checkpoint was saved before it,
            and resuming repeats it. None if signals are not handled here.
    """
    if not job.config.evaluation.every_epochs:
        return None
    from dcgan.evaluation.callback import best_so_far, evaluation_callback

    evaluated = [step for path, step in held.last_step.items() if path.startswith(EVALUATION)]
    best_step = read_fields(folder).get(BEST_STEP)
    best = best_so_far(last_values(folder))
    evaluate = evaluation_callback(
        job.config, job.images, job.held_out, job.device, emit, warn, best
    )

    def timed(step: int, generator: nn.Module) -> bool:
        if step in evaluated:
            return step == best_step
        began = time.monotonic()
        try:
            with ending_at_once() if interrupted else nullcontext():
                if interrupted and interrupted():
                    raise KeyboardInterrupt
                return evaluate(step, generator)
        finally:
            on_duration(time.monotonic() - began)

    return timed
