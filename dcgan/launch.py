"""From a configuration to a tracked run: everything around the training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from dcgan.checkpoint import (
    CHECKPOINT_FOLDER,
    CheckpointError,
    SaveCheckpoint,
    State,
    checkpoint_step,
    find_checkpoint,
    keep_nothing,
    load_checkpoint,
    save_checkpoint,
)
from dcgan.config import Config, ConfigError, load_config
from dcgan.data import ImageSet, Progress, load_held_out, load_images, silent
from dcgan.description import RECIPE_FILE, describe_configuration, describe_environment
from dcgan.device import choose_device
from dcgan.distributed import ALONE, World
from dcgan.engine import Assess, steps_per_epoch, total_steps, train
from dcgan.precision import check_precision
from dcgan.signals import stop_requests
from dcgan.trial import try_compiling
from tracking.backends import load_backend
from tracking.backends.local import last_values, read_events, read_fields, read_run, rewind
from tracking.errors import StoreError
from tracking.events import CONFIG, SWEEP, TRACKERS, Event, Fields, Metrics
from tracking.fanout import FanOut, Report
from tracking.fields import flatten, utc
from tracking.lock import locked
from tracking.privacy import cleaner
from tracking.store import check_label, create_run, find_run
from tracking.tracker import Run, Status, Tracker
from tracking.usage import UsageSampler


@dataclass(frozen=True)
class Membership:
    """The sweep that a run is part of. arm: what is its own, such as `init.scheme=default`."""

    name: str
    id: str
    arm: str


@dataclass(frozen=True)
class Labels:
    """What is said of a run beside its configuration."""

    name: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    sweep: Membership | None = None


@dataclass(frozen=True)
class Job:
    """A run that is ready to start: all that can be wrong with its input has been checked.

    trackers: the backends beside the local journal.
    folder: of the run that goes on; None for a new one.
    checkpoint: to go on from; None to start at the first step.
    world: the processes that train it together.
    held_out: real images that are not trained on, where G is evaluated and there are some.
    """

    config: Config
    images: ImageSet
    device: torch.device
    store: Path
    trackers: tuple[str, ...] = ()
    labels: Labels = Labels()
    folder: Path | None = None
    checkpoint: Path | None = None
    world: World = ALONE
    held_out: ImageSet | None = None

    @property
    def total_steps(self) -> int:
        return total_steps(self.config, self.images.card.size)

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(self.config, self.images.card.size)

    @property
    def epochs(self) -> int:
        """Passes over the data, the last of which may be cut short."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def first_step(self) -> int:
        """How many steps are done already."""
        return checkpoint_step(self.checkpoint) if self.checkpoint else 0


@dataclass(frozen=True)
class Outcome:
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


def prepare(
    config: Config,
    device: str,
    store: Path,
    trackers: Sequence[str],
    labels: Labels,
    *,
    download: bool = False,
    progress: Progress = silent,
    world: World = ALONE,
) -> Job:
    """Load the data and check everything; writes nothing but the cache of the data.

    download: whether torchvision may fetch what is missing. progress: of the decoding.
    Raises ConfigError, DataError, or StoreError for a label that is no plain text.
    """
    for label in filter(None, (labels.name, labels.group, *labels.tags)):
        check_label(label)
    chosen = choose_device(device)
    check_precision(config, chosen)
    images = load_images(config.dataset, download=download, progress=progress)
    check_batches(config, images.card.size, world)
    held_out = _held_out(config)
    return Job(
        config, images, chosen, store, tuple(trackers), labels, world=world, held_out=held_out
    )


def check_batches(config: Config, size: int, world: World = ALONE) -> None:
    """Raise ConfigError where `size` images give batches that cannot be trained on."""
    batch_size = config.training.batch_size
    if batch_size > size:
        raise ConfigError(
            f"training.batch_size = {batch_size}: the data set has only {size} images.\n"
            f"Give at most {size} with --batch-size."
        )
    if config.network.family == "dense" and size % batch_size == 1:
        raise ConfigError(
            f"training.batch_size = {batch_size}: the last batch of an epoch of {size:,} images "
            "would be a single one,\nof which batch norm in a fully connected layer can make "
            f"nothing. Give another size, such as {batch_size + 1}."
        )
    smallest = size % batch_size or batch_size
    needed = world.size * (2 if config.network.family == "dense" else 1)
    if smallest < needed:
        raise ConfigError(
            f"training.batch_size = {batch_size}: the last batch of an epoch of {size:,} images "
            f"would have {smallest},\ntoo few for {world.size} processes. Give another size."
        )
    if world.size > 1 and not config.training.detach_fakes:
        raise ConfigError(
            "training.detach_fakes = false: this can be trained by one process alone."
        )


def prepare_resume(
    store: Path,
    reference: str,
    device: str,
    *,
    progress: Progress = silent,
    world: World = ALONE,
) -> Job:
    """Find an interrupted run and check that it can go on; writes nothing to the run.

    Raises StoreError, CheckpointError, ConfigError or DataError.
    """
    folder = find_run(store, reference)
    fields = read_fields(folder)
    recipe = folder / RECIPE_FILE
    if fields.get("sys/status") == "finished":
        raise StoreError(
            f"The run {folder.name} has finished: there is nothing to resume.\n"
            f"The same again, as a new run: dcgan train {recipe}"
        )
    if not recipe.exists():
        raise StoreError(f"The run {folder.name} cannot go on: {recipe} is missing.")
    config = load_config(str(recipe), [])
    chosen = choose_device(device)
    check_precision(config, chosen)
    images = load_images(config.dataset, progress=progress)
    if images.card.fingerprint != fields.get(f"{CONFIG}/dataset/fingerprint"):
        raise StoreError(
            f"The images in {images.card.path} are no longer those with which the run "
            f"{folder.name} began.\nBring them back, or train a new run."
        )
    try:
        checkpoint = find_checkpoint(folder / CHECKPOINT_FOLDER)
    except CheckpointError:  # it was interrupted before the first one
        checkpoint = None
    trackers = tuple(
        path.removeprefix(f"{TRACKERS}/") for path in fields if path.startswith(TRACKERS)
    )
    check_batches(config, images.card.size, world)
    held_out = _held_out(config)
    return Job(
        config, images, chosen, store, trackers, Labels(), folder, checkpoint, world, held_out
    )


def _held_out(config: Config) -> ImageSet | None:
    if not config.evaluation.every_epochs:
        return None
    return load_held_out(config.dataset, config.evaluation.held_out)


def run_job(
    job: Job,
    arguments: Sequence[str],
    listen: Callable[[Event], None],
    report: Report,
    stopping: Callable[[], bool] | None = None,
) -> Outcome:
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
            report,
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
                config = _compiled_if_it_pays(job, emit, report)
            began = time.monotonic()
            patient = job.world.size > 1
            with nullcontext(stopping) if stopping else stop_requests(patient) as stop:
                reached_end = train(
                    config,
                    job.images.pixels,
                    job.device,
                    emit,
                    _keep_checkpoints(folder / CHECKPOINT_FOLDER, report),
                    state,
                    stop,
                    job.world,
                    _assess(job, folder, emit, report, pauses.append),
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
            ended = utc(time.time_ns() // 1_000_000)
            emit(Fields({"sys/status": status, "sys/ended": ended}))
            tracker.close(status)
    steps = int(last_values(folder).get("step", 0))
    images = (steps - job.first_step) / job.steps_per_epoch * job.images.card.size
    states = read_fields(folder)
    incomplete = tuple(n for n in job.trackers if states.get(f"{TRACKERS}/{n}") != "complete")
    speed = images / (seconds - sum(pauses))
    return Outcome(folder, status, steps, seconds, speed, incomplete)


def follow_job(job: Job) -> None:
    """Train a job that the first process tracks, as another one of those that train together."""
    state = load_checkpoint(job.checkpoint, job.device) if job.checkpoint else None
    with stop_requests(patient=True) as stop:
        train(
            job.config,
            job.images.pixels,
            job.device,
            lambda event: None,
            keep_nothing,  # the first process saves
            state,
            stop,
            job.world,
        )


def _compiled_if_it_pays(job: Job, emit: Callable[[Event], None], report: Report) -> Config:
    trial = try_compiling(job.config, job.device, job.total_steps - job.first_step)
    emit(Fields(flatten(asdict(trial), "sys/compile")))
    report(str(trial))
    training = job.config.training.model_copy(update={"compile": trial.pays})
    return job.config.model_copy(update={"training": training})


def _assess(
    job: Job,
    folder: Path,
    emit: Callable[[Event], None],
    report: Report,
    took: Callable[[float], None],
) -> Assess | None:
    """took: is told the seconds of each evaluation."""
    if not job.config.evaluation.every_epochs:
        return None
    from dcgan.evaluation.in_training import assessor, best_so_far

    best = best_so_far(last_values(folder))
    assess = assessor(job.config, job.images, job.held_out, job.device, emit, report, best)

    def timed(step: int, generator: nn.Module) -> bool:
        began = time.monotonic()
        is_best = assess(step, generator)
        took(time.monotonic() - began)
        return is_best

    return timed


def _open_run(job: Job) -> tuple[Run, Path]:
    if job.folder is not None:
        return read_run(job.folder), job.folder
    now = time.time_ns() // 1_000_000
    name = cleaner()(job.labels.name) if job.labels.name else None
    return create_run(job.store, job.config.name, name, now)


def _keep_checkpoints(folder: Path, report: Report) -> SaveCheckpoint:
    """Save into a folder; what cannot be saved is told once, and the training goes on."""
    told = False

    def save(step: int, state: State, *, marked: bool = False, best: bool = False) -> None:
        nonlocal told
        try:
            save_checkpoint(folder, step, state, marked=marked, best=best)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises the latter
            if not told:
                told = True
                report(
                    f"The checkpoint of step {step} cannot be written: {error}. "
                    "The training goes on; it can be resumed from the one before."
                )

    return save


def _open_remote(name: str, run: Run, store: Path) -> Tracker:
    return load_backend(name).open_tracker(run, store)


def _opening_events(job: Job, folder: Path, arguments: Sequence[str]) -> Iterator[Event]:
    """A run that goes on keeps what it said of itself, and says when it did."""
    if job.folder is not None:
        resumed = utc(time.time_ns() // 1_000_000)
        yield Fields(
            {"sys/status": "running", "sys/ended": None, "sys/error": None, "sys/resumed": resumed}
        )
        return
    sweep = job.labels.sweep
    yield Fields(
        {
            "sys/status": "running",
            "sys/recipe": job.config.name,
            "sys/seed": job.config.seed,
            "sys/group": job.labels.group,
            "sys/tags": list(job.labels.tags),
            "sys/processes": job.world.size,
            **(flatten(asdict(sweep), SWEEP) if sweep else {}),
        }
    )
    yield from describe_configuration(job.config, job.images, folder)
    yield from describe_environment(job.device, arguments)
