"""A trained generator put to use."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import PIL.Image
import torch
from torch import nn

from dcgan.config.loading import load_config
from dcgan.config.schema import Config, ConfigError
from dcgan.data.image_set import ImageSet
from dcgan.data.loading import load_images
from dcgan.models import build_networks
from dcgan.models.ema import moving_average
from dcgan.run_folder.describe import RECIPE_FILE
from dcgan.sampling import BatchNormMode, Weights, draw_latents, generate, image_grid
from dcgan.training.checkpoint import CHECKPOINT_FOLDER, State, find_checkpoint, load_checkpoint
from dcgan.training.device import choose_device
from tracking.atomic_files import replacing
from tracking.backends.local import read_fields
from tracking.errors import StoreError
from tracking.events import CONFIG


def sample_run(
    folder: Path,
    count: int,
    output: Path,
    *,
    seed: int,
    which: int | Literal["last", "best"],
    mode: BatchNormMode,
    weights: Weights | None,
    device: str,
) -> None:
    """Write a PNG grid of `count` images by the generator of the run in `folder`.

    seed: of the latent vectors. which: checkpoint.
    weights: of G as it was or of its moving average; None for those of the run's own grids.
    Raises StoreError, CheckpointError or ConfigError where one of them is not usable.
    """
    config = config_of(folder)
    chosen = choose_device(device)
    state = load_checkpoint(find_checkpoint(folder / CHECKPOINT_FOLDER, which), chosen)
    generator = restored_generator(config, state, weights or config.images.weights)
    source = torch.Generator().manual_seed(seed)
    latents = draw_latents(count, config.network, source)
    images = generate(generator.to(chosen), latents.to(chosen), mode)
    if config.images.inverted:
        images = -images
    try:
        with replacing(output) as temporary:
            PIL.Image.fromarray(image_grid(images).squeeze()).save(temporary, format="PNG")
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}.") from error


def config_of(folder: Path) -> Config:
    """What a run was trained by; raises StoreError where it does not say so."""
    recipe = folder / RECIPE_FILE
    if not recipe.exists():
        raise StoreError(f"The run {folder.name} cannot be used again: {recipe} is missing.")
    return load_config(str(recipe), [])


def images_of(folder: Path, config: Config) -> ImageSet:
    """What a run was trained on; raises StoreError where the images are others now."""
    images = load_images(config.dataset)
    if images.card.fingerprint != read_fields(folder).get(f"{CONFIG}/dataset/fingerprint"):
        raise StoreError(
            f"The images in {images.card.path} are not those that the run {folder.name} was "
            "trained on.\nBring them back to use it again."
        )
    return images


def restored_discriminator(config: Config, state: State) -> nn.Sequential:
    """The D of a checkpoint, on the CPU."""
    _, discriminator = build_networks(config, seed=0)
    discriminator.load_state_dict(state["discriminator"])
    return discriminator


def restored_generator(config: Config, state: State, weights: Weights) -> nn.Module:
    """The G of a checkpoint, on the CPU. Raises ConfigError where it has no moving average."""
    generator, _ = build_networks(config, seed=0)
    average = moving_average(generator, config.stabilisers.generator_ema)
    if weights == "current":
        generator.load_state_dict(state["generator"])
        return generator
    if average is None:
        raise ConfigError(
            "--weights ema: this run has no moving average of G.\n"
            "Train one with --set stabilisers.generator_ema=0.999."
        )
    average.load_state_dict(state["average"])
    return average.module
