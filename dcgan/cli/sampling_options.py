"""Options shared by the commands that use a run's networks: checkpoint, G's weights, seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcgan.choices import LARGEST_SEED, Weights
from dcgan.cli.options import parse_checkpoint

if TYPE_CHECKING:
    from dcgan.run_folder.trained_run import TrainedRun

_MAX_SEEDS = 1_000_000

GeneratorWeights = Annotated[
    Weights | None,
    typer.Option(
        "--weights",
        help="G's weights or their moving average; by default as in the run's own grids.",
        show_default=False,
    ),
]


def open_trained_run(store: Path, run: str, checkpoint: str, device: str = "cpu") -> TrainedRun:
    """Open a run at a checkpoint.

    Args:
        store: The folder of all runs.
        run: The user's reference to the run.
        checkpoint: The value of --checkpoint.
        device: The value of --device.

    Raises:
        typer.BadParameter: `checkpoint` is not valid.
        StoreError: No run matches, or more than one, or it was imported without its checkpoints.
        CheckpointError: There is no such checkpoint, or its file is damaged.
        ConfigError: There is no such device.
    """
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.training.device import choose_device
    from tracking.store import find_run

    folder = find_run(store, run)
    return TrainedRun.open(folder, parse_checkpoint(checkpoint), choose_device(device))


def parse_image_seeds(text: str, option: str) -> list[int]:
    """Parse seeds of images, such as `3,7` or `0-8,15`.

    Args:
        text: The user's input.
        option: For the message, such as `--seeds`.

    Raises:
        typer.BadParameter: A seed is invalid or named twice, or there are too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise typer.BadParameter(
                f"{option} {text}: seeds are whole numbers from 0, such as {option} 3,7 or "
                f"{option} 0-63."
            )
        end = int(last or first)
        if max(end, end - int(first)) > LARGEST_SEED or len(seeds) + end - int(first) >= _MAX_SEEDS:
            raise typer.BadParameter(f"{option} {text}: at most {_MAX_SEEDS:,} seeds below 2^63.")
        seeds += range(int(first), end + 1)
    if not seeds or len(set(seeds)) < len(seeds):
        raise typer.BadParameter(f"{option} {text}: each seed once, in ranges from low to high.")
    return seeds
