"""`dcgan sample`: new images from a run's generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from dcgan.cli.options import (
    DEFAULT_STORE,
    Checkpoint,
    Device,
    RunReference,
    Store,
    parse_checkpoint,
)
from dcgan.cli.output_file import PIL_FORMATS, file_with_ending
from tracking.wording import plural


def sample(
    run: RunReference = "last",
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=4096, help="Number of images.")
    ] = 64,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Picture to write, in the format of its ending: .png, .jpg, .webp, .tif or .bmp.",
            callback=file_with_ending(PIL_FORMATS),
        ),
    ] = Path("grid.png"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the latent vectors.")] = 0,
    checkpoint: Checkpoint = "last",
    mode: Annotated[
        Literal["eval", "train"],
        typer.Option(
            help="Batch norm by the learned statistics (eval) or the batch's own (train)."
        ),
    ] = "eval",
    weights: Annotated[
        Literal["current", "ema"] | None,
        typer.Option(
            help="G's weights or their moving average; by default as in the run's own grids."
        ),
    ] = None,
    device: Device = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Generate new images with a run's generator, as one grid."""
    from dcgan.run_folder.sample_grid import write_sample_grid
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.training.device import choose_device
    from tracking.store import find_run

    folder = find_run(store, run)
    trained_run = TrainedRun.open(folder, parse_checkpoint(checkpoint), choose_device(device))
    picture_format = PIL_FORMATS[output.suffix.lower()]
    write_sample_grid(
        trained_run, count, output, picture_format, seed=seed, mode=mode, weights=weights
    )
    Console(highlight=False).print(
        f"{output}: {plural(count, 'image')} by {folder.name}", soft_wrap=True
    )
