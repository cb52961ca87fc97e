"""Turns a configuration into a job, with all input checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dcgan.config.absolute_paths import with_absolute_paths
from dcgan.config.conflicts import normalises_pixels
from dcgan.config.loading import Override
from dcgan.config.schema import Config, ConfigError
from dcgan.data.image_set import ImageSet
from dcgan.data.loading import load_held_out, load_images
from dcgan.jobs.initial_weights import (
    InitialWeights,
    check_same_weights,
    load_initial_weights,
)
from dcgan.jobs.length import check_length
from dcgan.jobs.other_images import without_claims
from dcgan.profiling.step_memory import check_memory
from dcgan.run_folder import CHECKPOINT_DIR, RECIPE_FILE
from dcgan.run_folder.trained_run import load_training_images, read_config, with_images_in
from dcgan.training.checkpoint import checkpoint_step, list_checkpoints
from dcgan.training.device import choose_device
from dcgan.training.distributed import SINGLE_PROCESS, World
from dcgan.training.precision import check_precision
from dcgan.training.schedule import steps_per_epoch, total_epochs, total_steps
from tracking.backends.local import read_fields
from tracking.errors import StoreError
from tracking.events import TRACKERS, Value
from tracking.store import check_label, check_name, find_run


@dataclass(frozen=True)
class SweepMembership:
    """The sweep that a run is part of.

    Attributes:
        name: The sweep's name.
        id: The sweep's id in the store.
        arm: The label of the run's arm, such as `init.scheme=default`.
        seeds: How many seeds were planned for each arm.
    """

    name: str
    id: str
    arm: str
    seeds: int


@dataclass(frozen=True)
class RunMetadata:
    """What describes a run besides its configuration.

    Attributes:
        name: A name by which the run can be found; None for a run without one.
        group: The group that the run belongs to.
        tags: Words by which runs can be selected.
        sweep: The sweep that the run is part of, if any.
    """

    name: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    sweep: SweepMembership | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that is ready to start, because all of its input has been checked.

    Attributes:
        config: The run's configuration.
        images: The images to train on.
        device: Where to train.
        store: The folder of all runs.
        trackers: The backends besides the local journal.
        metadata: Name, group, tags and sweep of a new run.
        folder: The folder of the run to resume; None for a new run.
        checkpoint: The checkpoint to resume from; None to start at the first step.
        world: The processes that train together.
        held_out: Real images for evaluation that are not trained on; None if the recipe does
            not evaluate during training, or the data set has none.
        has_new_length: Whether a run that is resumed is to have another length than before.
        initial_weights: What the first step starts from; None for weights that the seed draws.
        stop_when: Names of the rules that end the run early, see `jobs.health.parse_stop_when`.
    """

    config: Config
    images: ImageSet
    device: torch.device
    store: Path
    trackers: tuple[str, ...] = ()
    metadata: RunMetadata = RunMetadata()
    folder: Path | None = None
    checkpoint: Path | None = None
    world: World = SINGLE_PROCESS
    held_out: ImageSet | None = None
    has_new_length: bool = False
    initial_weights: InitialWeights | None = None
    stop_when: tuple[str, ...] = ()

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, from its first."""
        return total_steps(self.config, self.images.card.size)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the images."""
        return steps_per_epoch(self.config, self.images.card.size)

    @property
    def epochs(self) -> int:
        """Passes over the images, the last of which may be cut short."""
        return total_epochs(self.config, self.images.card.size)

    @property
    def first_step(self) -> int:
        """Steps that are done already."""
        return checkpoint_step(self.checkpoint) if self.checkpoint else 0


def prepare(
    config: Config,
    device: str,
    store: Path,
    trackers: Sequence[str],
    metadata: RunMetadata,
    *,
    download: bool = False,
    stop_when: tuple[str, ...] = (),
    world: World = SINGLE_PROCESS,
) -> Job:
    """Load the data and check all input of a new run; writes only to the data cache.

    Args:
        config: The recipe.
        device: `auto`, or a device's name such as `cpu` or `cuda:1`.
        store: The folder of all runs.
        trackers: The backends besides the local journal.
        metadata: Name, group, tags and sweep of the run.
        download: Whether torchvision may download missing data.
        stop_when: The rules of health that end the run early.
        world: The processes that train together.

    Raises:
        ConfigError: The device, the precision, the batch size or the size of the images does not
            work here.
        DataError: The images cannot be loaded.
        StoreError: A name, group or tag is not plain text, or there is no run that `init.weights`
            names.
        CheckpointError: The weights that it names cannot be read.
    """
    if metadata.name is not None:
        check_name(metadata.name)
    for label in filter(None, (metadata.group, *metadata.tags)):
        check_label(label)
    chosen_device = choose_device(device)
    check_precision(config, chosen_device)
    check_memory(config, chosen_device, world)
    config = with_absolute_paths(config)
    initial_weights = load_initial_weights(config, store)
    if initial_weights is not None:
        config = config.replace("init", weights=initial_weights.origins)
    images = load_images(config.dataset, download=download)
    check_batches(config, images.card.size, world)
    return Job(
        config=without_claims(config, images.card.size),
        images=images,
        device=chosen_device,
        store=store,
        trackers=tuple(trackers),
        metadata=replace(metadata, tags=tuple(dict.fromkeys(metadata.tags))),
        world=world,
        held_out=_held_out(config),
        initial_weights=initial_weights,
        stop_when=stop_when,
    )


def check_batches(config: Config, size: int, world: World = SINGLE_PROCESS) -> None:
    """Check that every batch of an epoch can be trained on.

    Args:
        config: The recipe.
        size: Number of images.
        world: The processes that train together; each needs a shard of every batch.

    Raises:
        ConfigError: A batch is too small, or the recipe cannot be trained by several processes.
    """
    batch_size = config.training.batch_size
    if size < 2:
        raise ConfigError("The data set has only one image, and a batch needs at least two.")
    if batch_size > size:
        raise ConfigError(
            f"training.batch_size = {batch_size}: the data set has only {size:,} images.\n"
            f"Give at most {size}."
        )
    smallest_batch = size % batch_size or batch_size
    needed = 2 if normalises_pixels(config) else 1
    if smallest_batch < needed:
        larger = (count for count in range(batch_size + 1, size + 1) if size % count != 1)
        raise ConfigError(
            f"training.batch_size = {batch_size}: the last batch of an epoch of {size:,} images "
            "would have only one,\nwith which batch norm in a fully connected layer or of maps of "
            f"one pixel cannot work. Give another size, such as {next(larger)}."
        )
    if smallest_batch < world.size * needed:
        raise ConfigError(
            f"training.batch_size = {batch_size}: the last batch of an epoch of {size:,} images "
            f"would have {smallest_batch},\ntoo few for {world.size} processes. Give another size."
        )
    if world.size > 1 and not config.training.detach_fakes:
        raise ConfigError(
            f"training.detach_fakes = false works in one process only, not in {world.size}."
        )
    if world.size > 1 and config.training.compile and config.loss.traits.gradient_penalty:
        raise ConfigError(
            'loss.name = "wgan_gp" cannot be compiled: torch.compile has no second derivatives, '
            "which its penalty takes.\nSet training.compile = false: only a run in one process "
            "tries it and falls back."
        )


def prepare_resume(
    store: Path,
    reference: str,
    device: str,
    *,
    data: Path | None = None,
    length: Sequence[Override] = (),
    stop_when: tuple[str, ...] = (),
    world: World = SINGLE_PROCESS,
) -> Job:
    """Find an interrupted run and check that it can be resumed; writes nothing to the run.

    Args:
        store: The folder of all runs.
        reference: The run's id or name, or `last`.
        device: `auto`, or a device's name such as `cpu` or `cuda:1`.
        data: Where the run's images are now; None if they are where they were.
        length: Of the run's `training.epochs` or `training.steps`, if it is to have another
            length; it may then have finished.
        stop_when: The rules of health that end this session early.
        world: The processes that train together.

    Raises:
        StoreError: There is no such run, it has finished and no `length` is given, or its images
            have changed.
        ConfigError: The device, the precision or the batch size does not work here, or what was
            done so far depends on the run's length.
        CheckpointError: A finished run has no checkpoint.
        DataError: The images cannot be loaded.
    """
    folder = find_run(store, reference)
    fields = read_fields(folder)
    if not length:
        _check_unfinished(folder, fields)
    config = with_images_in(read_config(folder, length), data)
    chosen_device = choose_device(device)
    check_precision(config, chosen_device)
    images = load_training_images(folder, config)
    checkpoint = _last_checkpoint(folder)
    if length:
        check_length(
            config,
            read_config(folder),
            images.card.size,
            folder=folder,
            status=fields.get("sys/status"),
            done=checkpoint_step(checkpoint) if checkpoint else None,
        )
    initial_weights = None
    if checkpoint is None and (initial_weights := load_initial_weights(config, store)):
        check_same_weights(initial_weights, fields, folder.name)
    trackers = tuple(
        path.removeprefix(f"{TRACKERS}/") for path in fields if path.startswith(f"{TRACKERS}/")
    )
    check_batches(config, images.card.size, world)
    return Job(
        config=config,
        images=images,
        device=chosen_device,
        store=store,
        trackers=trackers,
        folder=folder,
        checkpoint=checkpoint,
        world=world,
        held_out=_held_out(config),
        has_new_length=bool(length),
        initial_weights=initial_weights,
        stop_when=stop_when,
    )


def check_still_resumable(job: Job) -> None:
    """Repeat the checks of `prepare_resume`, now that the caller holds the run's lock.

    Raises StoreError if another process has continued the run in the meantime.
    """
    if job.folder is None:
        return
    if not job.has_new_length:
        _check_unfinished(job.folder, read_fields(job.folder, alive=False))
    if _last_checkpoint(job.folder) != job.checkpoint:
        raise StoreError(
            f"The run {job.folder.name} has been continued by another process in the meantime.\n"
            "Run the same command again."
        )


def _check_unfinished(folder: Path, fields: Mapping[str, Value]) -> None:
    if fields.get("sys/status") == "finished":
        raise StoreError(
            f"The run {folder.name} has finished: there is nothing to resume.\n"
            f"To train it further: dcgan resume {folder.name} --epochs N\n"
            f"To train the same again as a new run: dcgan train {folder / RECIPE_FILE}"
        )


def _last_checkpoint(folder: Path) -> Path | None:
    """None if the run was interrupted before its first checkpoint."""
    checkpoints = list_checkpoints(folder / CHECKPOINT_DIR)
    return checkpoints[-1] if checkpoints else None


def _held_out(config: Config) -> ImageSet | None:
    """Real images to evaluate with, loaded only if the recipe evaluates during training."""
    if not config.evaluation.every_epochs:
        return None
    return load_held_out(config.dataset, config.evaluation.held_out)
