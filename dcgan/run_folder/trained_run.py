"""A trained run opened from its folder: configuration, images, and both networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from dcgan.choices import Weights
from dcgan.config.dataset import EMBEDDED
from dcgan.config.loading import Override, load_config
from dcgan.config.schema import Config, ConfigError
from dcgan.data.image_set import DataError, ImageSet
from dcgan.data.loading import load_images
from dcgan.models import build_networks
from dcgan.models.ema import moving_average
from dcgan.run_folder import CHECKPOINT_DIR, RECIPE_FILE
from dcgan.store_dir import dcgan_command
from dcgan.training.checkpoint import (
    CheckpointRef,
    CheckpointState,
    checkpoint_step,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    restoring,
)
from tracking.backends.local import last_step, read_fields
from tracking.errors import StoreError
from tracking.events import CONFIG, IMPORTED, SYS
from tracking.run_files import check_no_link


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run at one of its checkpoints.

    Attributes:
        folder: The run's folder; its name is the run's id.
        config: The run's configuration.
        checkpoint: The checkpoint's file.
        state: The file's content, on the CPU.
        device: Where `generator` and `discriminator` put the networks.
    """

    folder: Path
    config: Config
    checkpoint: Path
    state: CheckpointState = field(repr=False)  # a notebook would show megabytes of numbers
    device: torch.device

    @classmethod
    def open(
        cls,
        folder: Path,
        checkpoint: CheckpointRef = "last",
        device: torch.device | None = None,
    ) -> TrainedRun:
        """Open the run in a folder.

        Args:
            folder: The run's folder.
            checkpoint: The last one, the best by evaluation, or that of a step.
            device: Where networks are put; the CPU if omitted.

        Raises:
            StoreError: The folder holds no recipe.
            CheckpointError: There is no such checkpoint, or its file is damaged.
            ConfigError: The recipe is not valid.
        """
        config = read_config(folder)
        path = find_checkpoint(folder / CHECKPOINT_DIR, checkpoint)
        device = device or torch.device("cpu")
        return cls(folder, config, path, load_checkpoint(path), device)

    @property
    def step(self) -> int:
        """The training step of the checkpoint."""
        return checkpoint_step(self.checkpoint)

    @property
    def is_latest(self) -> bool:
        """Whether the run has no newer checkpoint, so that its journal can take more values."""
        return self.checkpoint == list_checkpoints(self.folder / CHECKPOINT_DIR)[-1]

    def images(self) -> ImageSet:
        """Load the images that the run was trained on; see `load_training_images`."""
        return load_training_images(self.folder, self.config)

    def generator(self, weights: Weights | None = None) -> nn.Module:
        """G from the checkpoint, in training mode.

        Args:
            weights: `current` for G, `ema` for its moving average; if omitted, those that the
                run's own grids use.

        Raises:
            ConfigError: `weights` is neither of them, or `ema`, but the run has no moving average
                of G.
            CheckpointError: The checkpoint is of another network.
        """
        if weights is not None and weights not in get_args(Weights):
            raise ConfigError(f"weights = {weights!r}: it should be 'current' or 'ema'.")
        generator, _ = build_networks(self.config, seed=0)
        average = moving_average(generator, self.config.stabilisers.generator_ema)
        if (weights or self.config.images.weights) == "current":
            self._load("generator", generator)
            return generator.to(self.device)
        if average is None:
            raise ConfigError(
                "The weights ema: this run has no moving average of G.\n"
                "Train one with stabilisers.generator_ema = 0.999."
            )
        self._load("average", average)
        return average.module.to(self.device)

    def discriminator(self) -> nn.Sequential:
        """D from the checkpoint, in training mode."""
        _, discriminator = build_networks(self.config, seed=0)
        self._load("discriminator", discriminator)
        return discriminator.to(self.device)

    def _load(self, name: str, network: nn.Module) -> None:
        """Raises CheckpointError if the checkpoint is of another network."""
        with restoring(self.step):
            network.load_state_dict(self.state[name])


def _check_not_imported(folder: Path) -> None:
    """Raise StoreError if the run was imported from a store without its checkpoints."""
    origin = read_fields(folder).get(IMPORTED)
    if origin is not None and not list_checkpoints(folder / CHECKPOINT_DIR):
        raise StoreError(
            f"The run {folder.name} was imported ({origin}), which brings no checkpoints.\n"
            "Use the store in which it was trained."
        )


def read_config(folder: Path, overrides: Sequence[Override] = ()) -> Config:
    """The configuration of the run in a folder, with overrides if there are some.

    Raises StoreError if it has no recipe, or was imported without its checkpoints; ConfigError if
    an override is not valid.
    """
    _check_not_imported(folder)
    recipe = check_no_link(folder, RECIPE_FILE)
    if not recipe.exists():
        raise _without_recipe(folder, recipe)
    return load_config(str(recipe), list(overrides))


def _without_recipe(folder: Path, recipe: Path) -> StoreError:
    """The error of a run that has no recipe: the file was deleted, or the run came to nothing."""
    run = folder.name
    if list_checkpoints(folder / CHECKPOINT_DIR) or last_step(folder) > 0:
        return StoreError(f"The run {run} cannot be opened: {recipe} is missing.")
    if read_fields(folder).get(f"{SYS}/status") == "running":
        return StoreError(f"The run {run} has only just begun: try again when it trains.")
    delete = dcgan_command("delete", run, store=folder.parent)
    return StoreError(
        f"The run {run} ended before its recipe was written: there is nothing to go on with.\n"
        f"Train it anew; to delete what is left of this one: {delete}"
    )


def with_images_in(config: Config, folder: Path | str | None) -> Config:
    """The configuration with its images in this folder, as an absolute path; as it is for None.

    The path is absolute because a run may be resumed from another working directory. Raises
    ConfigError if the images are embedded.
    """
    if folder is None:
        return config
    if config.dataset.name in EMBEDDED:
        raise ConfigError(
            f"The images of {config.dataset.name} come with the program: they are not in {folder}."
        )
    return config.replace("dataset", path=str(Path(folder).expanduser().absolute()))


def load_training_images(folder: Path, config: Config) -> ImageSet:
    """Load the images that a run was trained on.

    Args:
        folder: The run's folder.
        config: The run's configuration.

    Raises:
        StoreError: The images have changed since the run began.
        DataError: The images cannot be loaded.
    """
    path = config.dataset.path
    try:
        images = load_images(config.dataset)
    except DataError as error:
        if path is None or Path(path).exists():
            raise
        raise DataError(
            f"{error}\nIf the images were moved, tell dcgan resume or dcgan evaluate where they "
            "are: --data FOLDER (data= in Python)"
        ) from error
    if images.card.fingerprint != read_fields(folder).get(f"{CONFIG}/dataset/fingerprint"):
        raise StoreError(
            f"The images in {images.card.path} are not those that the run {folder.name} was "
            "trained on.\nRestore them, or train a new run."
        )
    return images
