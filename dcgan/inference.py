"""A trained generator put to use."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import torch

from dcgan.checkpoint import CHECKPOINT_FOLDER, find_checkpoint, load_checkpoint
from dcgan.config import load_config
from dcgan.description import RECIPE_FILE
from dcgan.device import choose_device
from dcgan.models import build_networks
from dcgan.sampling import BatchNormMode, generate, image_grid
from tracking.errors import StoreError
from tracking.files import replacing


def sample_run(
    folder: Path,
    count: int,
    output: Path,
    *,
    seed: int,
    step: int | None,
    mode: BatchNormMode,
    device: str,
) -> None:
    """Write a PNG grid of `count` images by the generator of the run in `folder`.

    seed: of the latent vectors. step: of the checkpoint, None for the last.
    Raises StoreError, CheckpointError or ConfigError where one of them is not usable.
    """
    recipe = folder / RECIPE_FILE
    if not recipe.exists():
        raise StoreError(f"The run {folder.name} cannot be sampled: {recipe} is missing.")
    config = load_config(str(recipe), [])
    chosen = choose_device(device)
    state = load_checkpoint(find_checkpoint(folder / CHECKPOINT_FOLDER, step), chosen)
    generator, _ = build_networks(config, seed=0)
    generator.load_state_dict(state["generator"])
    source = torch.Generator().manual_seed(seed)
    latents = torch.randn(count, config.network.latent_size, 1, 1, generator=source)
    images = generate(generator.to(chosen), latents.to(chosen), mode)
    try:
        with replacing(output) as temporary:
            PIL.Image.fromarray(image_grid(images).squeeze()).save(temporary, format="PNG")
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}.") from error
