"""New images from a trained run, as one picture."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import torch

from dcgan.run_folder.trained_run import TrainedRun
from dcgan.sampling import BatchNormMode, Weights, draw_latents, generate, image_grid
from tracking.atomic_files import atomic_write
from tracking.errors import StoreError


def write_sample_grid(
    run: TrainedRun,
    count: int,
    output: Path,
    *,
    seed: int,
    mode: BatchNormMode,
    weights: Weights | None = None,
) -> None:
    """Write a PNG grid of new images by a run's generator.

    Args:
        run: The run, at the checkpoint whose generator draws.
        count: Number of images.
        output: The file to write; whole or absent if the process dies.
        seed: Of the latent vectors.
        mode: Batch norm by the learnt statistics (`eval`) or by those of this batch (`train`).
        weights: G as it was or its moving average; those of the run's own grids if omitted.

    Raises:
        ConfigError: The moving average is asked of a run that has none.
        StoreError: The file cannot be written.
    """
    rng = torch.Generator().manual_seed(seed)
    latents = draw_latents(count, run.config.network, rng).to(run.device)
    images = generate(run.generator(weights), latents, mode)
    if run.config.images.inverted:
        images = -images
    try:
        with atomic_write(output) as temporary:
            PIL.Image.fromarray(image_grid(images).squeeze()).save(temporary, format="PNG")
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}.") from error
