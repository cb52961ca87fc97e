"""A run's generator as a self-contained folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from dcgan.export.served_generator import PICTURE, RECIPE, WEIGHTS
from dcgan.run_folder import CHECKPOINT_DIR, RECIPE_FILE
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.samples import latents
from dcgan.samples.grid_file import write_grid
from dcgan.samples.pixels import images_of
from dcgan.training.checkpoint import CheckpointRef, has_best_mark, list_checkpoints


def best_or_last(folder: Path) -> CheckpointRef:
    """The best checkpoint by evaluation of the run in a folder, if it has one, else the last."""
    checkpoints = list_checkpoints(folder / CHECKPOINT_DIR)
    return "best" if any(map(has_best_mark, checkpoints)) else "last"


def package_generator(run: TrainedRun, target: Path) -> None:
    """Write G with the weights that the run's own grids use, its recipe, and a grid of 64 images.

    Args:
        run: The run, at the checkpoint whose generator is packaged.
        target: The folder; created.

    Raises:
        GenerationError: Pixels of the grid are not finite.
    """
    target.mkdir(parents=True)
    shutil.copyfile(run.folder / RECIPE_FILE, target / RECIPE)
    torch.save(run.generator().state_dict(), target / WEIGHTS)
    images = images_of(run, latents.of_seed(run.config.network, seed=0, count=64))
    inverted = run.config.images.inverted
    write_grid(images, run.config.dataset.sides, target / PICTURE, "PNG", inverted=inverted)
