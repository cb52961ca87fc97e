"""Runs a job as a tracked run: everything around the training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from dcgan.config.schema import Config
from dcgan.jobs.checkpoint_saver import CheckpointSaver
from dcgan.jobs.clock_lag import clock_lag, made_later
from dcgan.jobs.health import HealthMonitor
from dcgan.jobs.initial_weights import StateDict
from dcgan.jobs.length import notes_on_length
from dcgan.jobs.opening import note_on_threads, opening_events, run_warnings
from dcgan.jobs.out_of_memory import explaining_lack_of_memory
from dcgan.jobs.prepare import Job, check_still_resumable
from dcgan.jobs.signals import stop_requests
from dcgan.jobs.timed_evaluation import timed_evaluation
from dcgan.profiling.step_timing import try_compiling
from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.training.checkpoint import (
    CheckpointError,
    CheckpointState,
    checkpoint_step,
    list_checkpoints,
    load_checkpoint,
    no_checkpoints,
)
from dcgan.training.loop import train
from dcgan.training.state import check_restorable, has_random_state_of
from tracking.backends import load_backend
from tracking.backends.local import (
    last_step,
    read_events,
    read_fields,
    read_run,
    rewind,
)
from tracking.clock import now_ms
from tracking.errors import StoreError, UserError
from tracking.events import TRACKERS, Event, Fields, Metrics
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

    Attributes:
        folder: The run's folder.
        status: `finished`, `interrupted`, or `stopped` by one of the job's `stop_when`.
        steps: Training steps done in all, earlier sessions included.
        seconds: Duration of this session, evaluations included.
        images_per_second: Training speed of this session, evaluations excluded.
        incomplete_trackers: The remote trackers that lack some of the run's events.
    """

    folder: Path
    status: Status
    steps: int
    seconds: float
    images_per_second: float
    incomplete_trackers: tuple[str, ...] = ()


def run_job(
    job: Job,
    arguments: Sequence[str],
    *,
    listen: Callable[[Event], None],
    warn: Warn,
    stopping: Callable[[], bool] | None = None,
) -> TrainingResult:
    """Train a job as a tracked run, until it ends or Ctrl-C or SIGTERM interrupts it.

    Args:
        job: The run to start or to resume.
        arguments: The command line, for the record.
        listen: Called with every event of the run, except samples of the machine's usage.
        warn: Called with a message if a tracker, a checkpoint or an evaluation fails, after
            which the training continues; with the result of the trial if the recipe asks
            for torch.compile; and if random numbers restart on another kind of device.
        stopping: Called after each step instead of waiting for signals; True interrupts the run.

    Returns:
        How the run ended.

    Raises:
        StoreError: The store cannot be written to; another process is writing to the run, or has
            continued it since the job was prepared; or the training ended, but its last steps or
            its last checkpoint could not be written.
        CheckpointError: The checkpoint to resume from is damaged, or is not one of this run.
        ConfigError: The device ran out of memory; the run has been marked `failed`.
        Exception: Whatever else the training raises, after the run has been marked `failed`.
    """
    run, folder = _open_run(job)
    with locked(folder, training=True):
        check_still_resumable(job)
        resume_from = _load_resume_state(job)
        for note in _notes(job, folder, resume_from):
            warn(note)
        lag = 0
        if job.folder is not None:
            lag = clock_lag(folder)
            rewind(folder, job.first_step)
        tracker = _open_tracker(job, run, folder, warn)
        emit = _event_sink(tracker, listen, lag)
        save = CheckpointSaver(folder / CHECKPOINT_DIR, warn, emit)
        health = HealthMonitor(emit, warn, job.stop_when, job.metadata.tags)
        evaluation_seconds: list[float] = []
        on_duration = evaluation_seconds.append
        status: Status = "failed"
        began = time.monotonic()

        def emit_and_judge(event: Event) -> None:
            emit(event)
            health.add(event)

        try:
            for event in opening_events(job, folder, arguments):
                emit_and_judge(event)
            with explaining_lack_of_memory(job.config, job.device, job.world):
                config = _decide_compilation(job, emit, warn)
                began = time.monotonic()
                with (
                    nullcontext(stopping) if stopping else stop_requests(job.world.size > 1) as stop
                ):
                    if job.folder is not None:
                        health.replay(folder)
                    reached_end = train(
                        config,
                        job.images.pixels,
                        device=job.device,
                        emit=emit_and_judge,
                        save=save,
                        start_from=_start_from(job),
                        resume_from=resume_from,
                        stopping=lambda: health.stopped_by is not None or stop(),
                        world=job.world,
                        evaluate=timed_evaluation(
                            job,
                            folder,
                            tracker.held(),
                            emit,
                            warn,
                            on_duration,
                            interrupted=None if stopping else stop,
                        ),
                    )
            status = _status_after(reached_end, health, save)
        except KeyboardInterrupt:
            status = "interrupted"
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            emit(Fields({"sys/error": f"{kind}{error}"}))
            raise
        finally:
            seconds = time.monotonic() - began
            health.finish()
            # Emitted before the wait for the remotes, which a second Ctrl-C may cut short.
            emit(Fields({"sys/status": status, "sys/ended": to_iso8601(now_ms())}))
            tracker.close(status)
    if tracker.lost or save.problem:
        raise StoreError(_describe_loss(job, folder, save, tracker.lost))
    return _training_result(job, folder, status, seconds, sum(evaluation_seconds))


def _status_after(reached_end: bool, health: HealthMonitor, save: CheckpointSaver) -> Status:
    """The status of a training that has ended without an exception."""
    if save.problem:  # the run can be resumed from the checkpoint before
        return "interrupted"
    if reached_end:
        return "finished"
    return "stopped" if health.stopped_by else "interrupted"


def run_worker_rank(job: Job) -> bool:
    """Train as any rank but the first; the first one also tracks the job.

    Returns:
        False if the training was interrupted, True if it reached its end or a rule stopped it.
    """
    resume_from = _load_resume_state(job)
    with (
        stop_requests(catch_repeats=True) as stop,
        explaining_lack_of_memory(job.config, job.device, job.world),
    ):
        try:
            reached_end = train(
                job.config,
                job.images.pixels,
                device=job.device,
                emit=lambda event: None,
                save=no_checkpoints,  # the first process saves
                start_from=_start_from(job),
                resume_from=resume_from,
                stopping=stop,
                world=job.world,
            )
        except UserError:
            if stop():  # the signal has ended the first process, which was evaluating
                return False
            raise
        return reached_end or not stop()


def _open_run(job: Job) -> tuple[Run, Path]:
    """The run to resume, or a new one, with its folder."""
    if job.folder is not None:
        return read_run(job.folder), job.folder
    name = make_redactor()(job.metadata.name) if job.metadata.name else None
    return create_run(job.store, job.config.name, name, now_ms())


def _load_resume_state(job: Job) -> CheckpointState | None:
    """The state to resume from, checked before anything in the run's folder changes."""
    if job.checkpoint is None:
        return None
    try:
        state = load_checkpoint(job.checkpoint)
    except CheckpointError as error:
        *earlier, _ = [0, *map(checkpoint_step, list_checkpoints(job.checkpoint.parent))]
        raise CheckpointError(
            f"{error}\nDelete this file, and the run continues after step {earlier[-1]:,}."
        ) from error
    check_restorable(state, job.config)
    return state


def _notes(job: Job, folder: Path, resume_from: CheckpointState | None) -> Iterator[str]:
    """Messages for the user before the first step."""
    if job.folder is None:
        yield from run_warnings(job)
        if job.initial_weights and (note := job.initial_weights.note()):
            yield note
        return
    if resume_from is not None and not has_random_state_of(resume_from, job.device):
        yield (
            f"This run was trained on another kind of device than {job.device}, which cannot "
            "continue its random numbers. They restart from the seed and the step."
        )
    if note_of_threads := note_on_threads(job, folder):
        yield note_of_threads
    if job.has_new_length:
        yield from notes_on_length(job.config)


def _start_from(job: Job) -> Mapping[str, StateDict] | None:
    """The weights that the first step starts from, unless the seed draws them."""
    return job.initial_weights.networks if job.initial_weights else None


def _open_tracker(job: Job, run: Run, folder: Path, warn: Warn) -> FanOut:
    """The local journal, and from it every remote tracker of the job."""

    def open_remote(name: str) -> Tracker:
        return load_backend(name).open_tracker(run, job.store)

    return FanOut(
        load_backend("local").open_tracker(run, job.store),
        {name: partial(open_remote, name) for name in job.trackers},
        partial(read_events, folder),
        warn,
    )


def _event_sink(
    tracker: Tracker, listen: Callable[[Event], None], lag: int
) -> Callable[[Event], None]:
    """A function that sends a run's events to the tracker and to `listen`.

    Metrics also prompt a sample of the machine's usage. It goes to the tracker alone, because
    `listen` follows the training. lag: See `clock_lag`.
    """
    usage = UsageSampler()

    def emit(event: Event) -> None:
        event = made_later(event, lag)
        tracker.write(event)
        listen(event)
        if isinstance(event, Metrics) and (sample := usage.sample(event.steps[-1])):
            tracker.write(made_later(sample, lag))

    return emit


def _decide_compilation(job: Job, emit: Callable[[Event], None], warn: Warn) -> Config:
    """The job's configuration, without `training.compile` if a trial shows that it does not pay."""
    # Several processes must agree, and each might get another result from its trial.
    if not job.config.training.compile or job.world.size > 1:
        return job.config
    comparison = try_compiling(job.config, job.device, job.total_steps - job.first_step)
    emit(Fields(flatten(asdict(comparison), "sys/compile")))
    warn(str(comparison))
    return job.config.replace("training", compile=comparison.pays)


def _describe_loss(
    job: Job, folder: Path, save: CheckpointSaver, journal_problem: str | None
) -> str:
    """Says which part of a training was written to disk, if not all of it was."""
    reached = save.step or job.first_step
    parts = [f"The run {folder.name} was trained to step {reached:,}, but not all of it is kept."]
    if journal_problem:
        steps = last_step(folder)
        parts.append(f"Its journal ends at step {steps:,}: {journal_problem}.")
    if save.problem:
        kept = list_checkpoints(folder / CHECKPOINT_DIR)
        last = f"the last one is of step {checkpoint_step(kept[-1]):,}" if kept else "there is none"
        parts.append(f"The checkpoint of step {reached:,} is missing, {last}: {save.problem}.")
    parts.append("Make room; then dcgan resume trains the missing steps again.")
    return "\n".join(parts)


def _training_result(
    job: Job, folder: Path, status: Status, seconds: float, evaluation_seconds: float
) -> TrainingResult:
    steps = last_step(folder)
    images = (steps - job.first_step) / job.steps_per_epoch * job.images.card.size
    training_seconds = seconds - evaluation_seconds
    fields = read_fields(folder)
    return TrainingResult(
        folder=folder,
        status=status,
        steps=steps,
        seconds=seconds,
        # Windows' clock may stand still for as long as a run that ends at once takes.
        images_per_second=images / training_seconds if training_seconds else 0.0,
        incomplete_trackers=tuple(
            name for name in job.trackers if fields.get(f"{TRACKERS}/{name}") != "complete"
        ),
    )
