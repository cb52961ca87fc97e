"""Options of the commands that draw images from a run's generator."""

from __future__ import annotations

from typing import Annotated

import typer

from dcgan.choices import Weights

_MAX_SEEDS = 1_000_000

GeneratorWeights = Annotated[
    Weights | None,
    typer.Option(
        "--weights",
        help="G's weights or their moving average; by default as in the run's own grids.",
        show_default=False,
    ),
]


def parse_image_seeds(text: str, option: str) -> list[int]:
    """Parse seeds of images, such as `3,7` or `0-8,15`.

    Args:
        text: What the user typed.
        option: For the message, such as `--seeds`.

    Raises:
        typer.BadParameter: They are no seeds, a seed is named twice, or there are too many.
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
        if max(end, end - int(first)) >= 2**63 or len(seeds) + end - int(first) >= _MAX_SEEDS:
            raise typer.BadParameter(f"{option} {text}: at most {_MAX_SEEDS:,} seeds below 2^63.")
        seeds += range(int(first), end + 1)
    if not seeds or len(set(seeds)) < len(seeds):
        raise typer.BadParameter(f"{option} {text}: each seed once, in ranges from low to high.")
    return seeds
