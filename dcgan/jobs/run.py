"""From a configuration to a tracked run: everything around the training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import nn

from dcgan.config.schema import Config
from dcgan.jobs.prepare import Job
from dcgan.jobs.signals import stop_requests
from dcgan.profiling.step_timing import try_compiling
from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.run_folder.describe import describe_configuration, describe_environment
from dcgan.training.checkpoint import (
    CheckpointState,
    SaveCheckpoint,
    load_checkpoint,
    no_checkpoints,
    save_checkpoint,
)
from dcgan.training.loop import EvaluateCallback, train
from tracking.backends import load_backend
from tracking.backends.local import last_values, read_events, read_fields, read_run, rewind
from tracking.clock import now_ms
from tracking.events import SWEEP, TRACKERS, Event, Fields, Metrics
from tracking.fanout import FanOut, Warn
from tracking.fields import flatten, to_iso8601
from tracking.lock import locked
from tracking.redaction import make_redactor
from tracking.store import create_run
from tracking.system_usage import UsageSampler
from tracking.tracker import Run, Status, Tracker


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    steps: done in all. images_per_second: of training alone, since it began or went on.
    incomplete: the remotes that miss something.
    """

    folder: Path
    status: Status
    steps: int
    seconds: float
    images_per_second: float
    incomplete: tuple[str, ...] = ()


def run_job(
    job: Job,
    arguments: Sequence[str],
    listen: Callable[[Event], None],
    warn: Warn,
    stopping: Callable[[], bool] | None = None,
) -> TrainingResult:
    """Train a job as a tracked run, to its end or to Ctrl-C or SIGTERM.

    arguments: the command line, for the record. listen: sees every event.
    report: is told in a sentence when a tracker fails, where the training goes on, and
        whether it is compiled, where the configuration asks for that.
    stopping: asked after each step in place of waiting for signals; True interrupts the run.
    Raises StoreError where the store cannot be written to or another process writes the
    run; whatever the training raises marks the run `failed` and comes through.
    """
    run, folder = _open_run(job)
    with locked(folder):
        state = load_checkpoint(job.checkpoint, job.device) if job.checkpoint else None
        if job.folder is not None:
            rewind(folder, job.first_step)
        tracker: Tracker = FanOut(
            load_backend("local").open_tracker(run, job.store),
            {name: partial(_open_remote, name, run, job.store) for name in job.trackers},
            partial(read_events, folder),
            warn,
        )

        usage = UsageSampler()

        def emit(event: Event) -> None:
            tracker.write(event)
            listen(event)
            if isinstance(event, Metrics) and (sample := usage.sample(event.steps[-1])):
                tracker.write(sample)

        status: Status = "failed"
        pauses: list[float] = []
        began = time.monotonic()
        try:
            for event in _opening_events(job, folder, arguments):
                emit(event)
            config = job.config
            # Several processes must agree, and a trial may turn out otherwise for each.
            if config.training.compile and job.world.size == 1:
                config = _compiled_if_it_pays(job, emit, warn)
            began = time.monotonic()
            patient = job.world.size > 1
            with nullcontext(stopping) if stopping else stop_requests(patient) as stop:
                reached_end = train(
                    config,
                    job.images.pixels,
                    device=job.device,
                    emit=emit,
                    save=_keep_checkpoints(folder / CHECKPOINT_DIR, warn),
                    resume_from=state,
                    stopping=stop,
                    world=job.world,
                    evaluate=_timed_evaluation(job, folder, emit, warn, pauses.append),
                )
            status = "finished" if reached_end else "interrupted"
        except KeyboardInterrupt:
            status = "interrupted"
        except Exception as error:
            emit(Fields({"sys/error": f"{type(error).__name__}: {error}"}))
            raise
        finally:
            seconds = time.monotonic() - began
            # Said before the wait for the remotes, which a second Ctrl-C may cut short.
            ended = to_iso8601(now_ms())
            emit(Fields({"sys/status": status, "sys/ended": ended}))
            tracker.close(status)
    steps = int(last_values(folder).get("step", 0))
    images = (steps - job.first_step) / job.steps_per_epoch * job.images.card.size
    states = read_fields(folder)
    incomplete = tuple(n for n in job.trackers if states.get(f"{TRACKERS}/{n}") != "complete")
    speed = images / (seconds - sum(pauses))
    return TrainingResult(folder, status, steps, seconds, speed, incomplete)


def run_worker_rank(job: Job) -> None:
    """Train a job that the first process tracks, as another one of those that train together."""
    state = load_checkpoint(job.checkpoint, job.device) if job.checkpoint else None
    with stop_requests(patient=True) as stop:
        train(
            job.config,
            job.images.pixels,
            device=job.device,
            emit=lambda event: None,
            save=no_checkpoints,  # the first process saves
            resume_from=state,
            stopping=stop,
            world=job.world,
        )


def _compiled_if_it_pays(job: Job, emit: Callable[[Event], None], warn: Warn) -> Config:
    trial = try_compiling(job.config, job.device, job.total_steps - job.first_step)
    emit(Fields(flatten(asdict(trial), "sys/compile")))
    warn(str(trial))
    training = job.config.training.model_copy(update={"compile": trial.pays})
    return job.config.model_copy(update={"training": training})


def _timed_evaluation(
    job: Job,
    folder: Path,
    emit: Callable[[Event], None],
    warn: Warn,
    on_duration: Callable[[float], None],
) -> EvaluateCallback | None:
    """took: is told the seconds of each evaluation."""
    if not job.config.evaluation.every_epochs:
        return None
    from dcgan.evaluation.callback import best_so_far, evaluation_callback

    best = best_so_far(last_values(folder))
    assess = evaluation_callback(job.config, job.images, job.held_out, job.device, emit, warn, best)

    def timed(step: int, generator: nn.Module) -> bool:
        began = time.monotonic()
        is_best = assess(step, generator)
        on_duration(time.monotonic() - began)
        return is_best

    return timed


def _open_run(job: Job) -> tuple[Run, Path]:
    if job.folder is not None:
        return read_run(job.folder), job.folder
    now = now_ms()
    name = make_redactor()(job.metadata.name) if job.metadata.name else None
    return create_run(job.store, job.config.name, name, now)


def _keep_checkpoints(folder: Path, warn: Warn) -> SaveCheckpoint:
    """Save into a folder; what cannot be saved is told once, and the training goes on."""
    told = False

    def save(
        step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
    ) -> None:
        nonlocal told
        try:
            save_checkpoint(folder, step, state, marked=marked, best=best)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises the latter
            if not told:
                told = True
                warn(
                    f"The checkpoint of step {step} cannot be written: {error}. "
                    "The training goes on; it can be resumed from the one before."
                )

    return save


def _open_remote(name: str, run: Run, store: Path) -> Tracker:
    return load_backend(name).open_tracker(run, store)


def _opening_events(job: Job, folder: Path, arguments: Sequence[str]) -> Iterator[Event]:
    """A run that goes on keeps what it said of itself, and says when it did."""
    if job.folder is not None:
        resumed = to_iso8601(now_ms())
        yield Fields(
            {"sys/status": "running", "sys/ended": None, "sys/error": None, "sys/resumed": resumed}
        )
        return
    sweep = job.metadata.sweep
    yield Fields(
        {
            "sys/status": "running",
            "sys/recipe": job.config.name,
            "sys/seed": job.config.seed,
            "sys/group": job.metadata.group,
            "sys/tags": list(job.metadata.tags),
            "sys/processes": job.world.size,
            **(flatten(asdict(sweep), SWEEP) if sweep else {}),
        }
    )
    yield from describe_configuration(job.config, job.images, folder)
    yield from describe_environment(job.device, arguments)
