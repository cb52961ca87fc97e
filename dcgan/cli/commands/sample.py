"""`dcgan sample` and `dcgan plot`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

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


class Mode(StrEnum):
    """How batch norm works while sampling."""

    EVAL = "eval"
    TRAIN = "train"


class Weights(StrEnum):
    """Which G draws."""

    CURRENT = "current"
    EMA = "ema"


def sample(
    run: RunReference = "last",
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=4096, help="How many images.")
    ] = 64,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")] = Path(
        "grid.png"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of the latent vectors.")] = 0,
    checkpoint: Checkpoint = "last",
    mode: Annotated[
        Mode, typer.Option(help="Batch norm by what G has learnt, or by this batch alone.")
    ] = Mode.EVAL,
    weights: Annotated[
        Weights | None,
        typer.Option(help="G's own, or their moving average; those of the run's grids by default."),
    ] = None,
    device: Device = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Make new images with a run's generator."""
    from dcgan.run_folder.sample_grid import write_sample_grid
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.training.device import choose_device
    from tracking.store import find_run

    folder = find_run(store, run)
    trained_run = TrainedRun.open(folder, parse_checkpoint(checkpoint), choose_device(device))
    write_sample_grid(
        trained_run,
        count,
        output,
        seed=seed,
        mode=mode.value,
        weights=weights.value if weights else None,
    )
    Console(highlight=False).print(f"{count} images of {folder.name} in {output}", soft_wrap=True)
