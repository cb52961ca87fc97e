"""`dcgan profile`: where the time of a training step goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from dcgan.cli.options import BatchSize, Device, Precision, Settings, overrides, place
from dcgan.cpu.allocator import keep_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dcgan.config.schema import Config
    from dcgan.profiling.step_profile import TimeShare


def _recipe_names() -> list[str]:
    from dcgan.config.loading import recipe_names

    return recipe_names()


def profile(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe by name, or the path of a recipe's .toml file.",
            autocompletion=_recipe_names,
        ),
    ] = "digits",
    steps: Annotated[int, typer.Option(min=1, help="To profile, after five to warm up.")] = 30,
    trace: Annotated[
        Path | None,
        typer.Option(help="Write a Chrome trace there, a .json file.", dir_okay=False),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            metavar="[random|real|FOLDER]",
            help="Random images of the recipe's shape, its own data set, or a folder.",
        ),
    ] = "random",
    batch_size: BatchSize = None,
    precision: Precision = None,
    settings: Settings = None,
    device: Device = "auto",
) -> None:
    """Show where the time of a training step goes: its parts, and its slowest operators.

    Nothing is tracked or kept. The profiler itself slows steps, small ones the
    most: take the shares from here, and the speed from a training.

    [dim]dcgan profile celeba --steps 10 --trace celeba.json
    dcgan profile mnist-ablation --precision bf16 --data ~/mnist[/dim]
    """
    keep_memory()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it speaks of GPUs that are not there
    from dcgan.config.loading import load_config
    from dcgan.profiling.step_profile import profile_steps
    from dcgan.training.device import choose_device
    from dcgan.training.precision import check_precision

    given = overrides(
        settings,
        {
            "--batch-size": ("training.batch_size", batch_size),
            "--precision": ("training.precision", precision),
        },
    )
    config = load_config(recipe, given)
    if data not in ("random", "real"):
        config = load_config(recipe, given + place(config.dataset.name, Path(data)))
    chosen = choose_device(device)
    check_precision(config, chosen)
    pixels = _random(config, steps) if data == "random" else _real(config)
    found = profile_steps(config, pixels, chosen, steps, trace)
    console = Console(highlight=False)
    console.print(_title(config, chosen, steps, data))
    console.print(_table("part", found.parts, total=found.step_ms))
    console.print()
    console.print(_table("slowest operators, each without those that it calls", found.operators))
    if trace is not None:
        console.print(f"\nThe trace, for chrome://tracing or Perfetto: {trace}", soft_wrap=True)


def _random(config: Config, steps: int) -> Tensor:
    """As many as are trained on, so that no epoch ends meanwhile."""
    from dcgan.profiling.step_profile import WARM_UP_STEPS
    from dcgan.profiling.step_timing import random_images

    a_step = config.training.batch_size * config.training.discriminator_batches
    return random_images(config, a_step * (steps + WARM_UP_STEPS + 1))


def _real(config: Config) -> Tensor:
    from dcgan.cli.progress import DecodingProgress
    from dcgan.data.loading import load_images
    from dcgan.jobs.prepare import check_batches

    with DecodingProgress() as progress:
        pixels = load_images(config.dataset, progress=progress.show).pixels
    check_batches(config, len(pixels))
    return pixels


def _title(config: Config, device: torch.device, steps: int, data: str) -> str:
    images = "random images, no data set" if data == "random" else "real images"
    size = config.dataset.image_size
    return (
        f"\n[bold]{config.name}[/bold] on {device}, {config.training.precision}: {steps} steps of "
        f"{config.training.batch_size}, {images} of {size}x{size}\n"
    )


def _table(name: str, shares: tuple[TimeShare, ...], total: float | None = None) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(name, min_width=40)
    for column in ("ms a step", "share", "calls a step"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in shares:
        calls = f"{each.calls:.3g}" if each.calls else ""
        table.add_row(each.name, f"{each.ms:,.2f}", f"{each.fraction:.1%}", calls)
    if total is not None:
        table.add_row("[bold]step[/bold]", f"{total:,.2f}", "", "", end_section=True)
    return table
