"""From a configuration to a job: all that can be wrong with its input is checked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dcgan.config.schema import Config, ConfigError
from dcgan.data.image_set import ImageSet, Progress, silent
from dcgan.data.loading import load_held_out, load_images
from dcgan.run_folder import CHECKPOINT_DIR, RECIPE_FILE
from dcgan.run_folder.trained_run import load_training_images, read_config
from dcgan.training.checkpoint import (
    CheckpointError,
    checkpoint_step,
    find_checkpoint,
)
from dcgan.training.device import choose_device
from dcgan.training.distributed import SINGLE_PROCESS, World
from dcgan.training.precision import check_precision
from dcgan.training.schedule import steps_per_epoch, total_steps
from tracking.backends.local import read_fields
from tracking.errors import StoreError
from tracking.events import TRACKERS
from tracking.store import check_label, find_run


@dataclass(frozen=True)
class SweepMembership:
    """The sweep that a run is part of. arm: what is its own, such as `init.scheme=default`."""

    name: str
    id: str
    arm: str


@dataclass(frozen=True)
class RunMetadata:
    """What is said of a run beside its configuration."""

    name: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    sweep: SweepMembership | None = None


@dataclass(frozen=True, kw_only=True)
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
    metadata: RunMetadata = RunMetadata()
    folder: Path | None = None
    checkpoint: Path | None = None
    world: World = SINGLE_PROCESS
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


def prepare(
    config: Config,
    device: str,
    store: Path,
    trackers: Sequence[str],
    metadata: RunMetadata,
    *,
    download: bool = False,
    progress: Progress = silent,
    world: World = SINGLE_PROCESS,
) -> Job:
    """Load the data and check everything; writes nothing but the cache of the data.

    download: whether torchvision may fetch what is missing. progress: of the decoding.
    Raises ConfigError, DataError, or StoreError for a label that is no plain text.
    """
    for label in filter(None, (metadata.name, metadata.group, *metadata.tags)):
        check_label(label)
    chosen = choose_device(device)
    check_precision(config, chosen)
    images = load_images(config.dataset, download=download, progress=progress)
    check_batches(config, images.card.size, world)
    return Job(
        config=config,
        images=images,
        device=chosen,
        store=store,
        trackers=tuple(trackers),
        metadata=metadata,
        world=world,
        held_out=_held_out(config),
    )


def check_batches(config: Config, size: int, world: World = SINGLE_PROCESS) -> None:
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
    world: World = SINGLE_PROCESS,
) -> Job:
    """Find an interrupted run and check that it can go on; writes nothing to the run.

    Raises StoreError, CheckpointError, ConfigError or DataError.
    """
    folder = find_run(store, reference)
    fields = read_fields(folder)
    if fields.get("sys/status") == "finished":
        raise StoreError(
            f"The run {folder.name} has finished: there is nothing to resume.\n"
            f"The same again, as a new run: dcgan train {folder / RECIPE_FILE}"
        )
    config = read_config(folder)
    chosen = choose_device(device)
    check_precision(config, chosen)
    images = load_training_images(folder, config, progress)
    try:
        checkpoint = find_checkpoint(folder / CHECKPOINT_DIR)
    except CheckpointError:  # it was interrupted before the first one
        checkpoint = None
    trackers = tuple(
        path.removeprefix(f"{TRACKERS}/") for path in fields if path.startswith(TRACKERS)
    )
    check_batches(config, images.card.size, world)
    return Job(
        config=config,
        images=images,
        device=chosen,
        store=store,
        trackers=trackers,
        folder=folder,
        checkpoint=checkpoint,
        world=world,
        held_out=_held_out(config),
    )


def _held_out(config: Config) -> ImageSet | None:
    if not config.evaluation.every_epochs:
        return None
    return load_held_out(config.dataset, config.evaluation.held_out)
