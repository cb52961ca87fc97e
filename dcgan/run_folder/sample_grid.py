"""New images from a trained run, as one picture."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import torch

from dcgan.run_folder.trained_run import TrainedRun
from dcgan.sampling import BatchNormMode, Weights, check_finite, draw_latents, generate, image_grid
from tracking.atomic_files import atomic_write
from tracking.errors import StoreError

_QUALITY = 95
"""Of formats that lose some."""


def write_sample_grid(
    run: TrainedRun,
    count: int,
    output: Path,
    picture_format: str,
    *,
    seed: int,
    mode: BatchNormMode,
    weights: Weights | None = None,
) -> None:
    """Write a grid of new images by a run's generator.

    Args:
        run: The run, at the checkpoint whose generator is used.
        count: Number of images.
        output: The file to write; complete or absent, even if the process dies. Its
            folder is made if it is missing.
        picture_format: Pillow's name of the format, such as `PNG`.
        seed: Seed of the latents.
        mode: Batch norm by its running statistics (`eval`) or by those of this batch (`train`).
        weights: `current` for G, `ema` for its moving average; if omitted, those that the
            run's own grids use.

    Raises:
        ConfigError: `weights` is `ema`, but the run has no moving average.
        GenerationError: Pixels are not finite.
        StoreError: The file cannot be written.
    """
    rng = torch.Generator().manual_seed(seed)
    latents = draw_latents(count, run.config.network, rng).to(run.device)
    images = generate(run.generator(weights), latents, mode)
    check_finite(images)
    if run.config.images.inverted:
        images = -images
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(output) as temporary:
            grid = PIL.Image.fromarray(image_grid(images).squeeze())
            grid.save(temporary, format=picture_format, quality=_QUALITY)
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}.") from error
