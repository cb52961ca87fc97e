"""From a configuration to a job: all that can be wrong with its input is checked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dcgan.config.loading import load_config
from dcgan.config.schema import Config, ConfigError
from dcgan.data.image_set import ImageSet, Progress, silent
from dcgan.data.loading import load_held_out, load_images
from dcgan.run_folder.describe import RECIPE_FILE
from dcgan.training.checkpoint import (
    CHECKPOINT_FOLDER,
    CheckpointError,
    checkpoint_step,
    find_checkpoint,
)
from dcgan.training.device import choose_device
from dcgan.training.distributed import ALONE, World
from dcgan.training.precision import check_precision
from dcgan.training.schedule import steps_per_epoch, total_steps
from tracking.backends.local import read_fields
from tracking.errors import StoreError
from tracking.events import CONFIG, TRACKERS
from tracking.store import check_label, find_run


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
