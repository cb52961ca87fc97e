"""`dcgan profile`: where the time of a training step goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dcgan.cli.format import add_number_columns, borderless_table
from dcgan.cli.options import (
    BatchSize,
    Device,
    Precision,
    Recipe,
    Settings,
    parse_overrides,
)
from dcgan.cpu.allocator import keep_memory
from tracking.wording import plural

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dcgan.config.schema import Config
    from dcgan.profiling.step_profile import TimeShare


def profile(
    recipe: Recipe = "digits",
    steps: Annotated[
        int, typer.Option(min=1, help="Steps to profile, after five to warm up.")
    ] = 30,
    trace: Annotated[
        Path | None,
        typer.Option(help="Also write a Chrome trace, a .json file.", dir_okay=False),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="[bold]random[/bold] images of the recipe's size, [bold]real[/bold] ones of its "
            "own data set, or a folder.",
        ),
    ] = "random",
    batch_size: BatchSize = None,
    precision: Precision = None,
    settings: Settings = None,
    device: Device = "auto",
) -> None:
    """Show where the time of a training step goes: its parts and its slowest operators.

    Nothing is tracked or saved. The profiler itself slows steps down, short
    steps the most: read the shares here, and the speed from a real training run.

    [dim]dcgan profile celeba --steps 10 --trace celeba.json
    dcgan profile mnist-ablation --precision bf16 --data ~/mnist[/dim]
    """
    keep_memory()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise it warns about missing GPUs
    from dcgan.jobs.overrides import configure
    from dcgan.profiling.step_profile import profile_steps
    from dcgan.training.device import choose_device
    from dcgan.training.precision import check_precision

    overrides = parse_overrides(settings, batch_size=batch_size, precision=precision)
    config = configure(recipe, overrides, None if data in ("random", "real") else Path(data))
    torch_device = choose_device(device)
    check_precision(config, torch_device)
    pixels = _random_images(config, steps) if data == "random" else _real_images(config)
    step_profile = profile_steps(config, pixels, torch_device, steps, trace)
    console = Console(highlight=False)
    console.print(_title(config, torch_device, steps, data))
    console.print(_table("part", step_profile.parts, total_ms=step_profile.step_ms))
    console.print()
    console.print(
        _table("slowest operators, without the operators they call", step_profile.operators)
    )
    if trace is not None:
        console.print(
            f"\nTrace for Perfetto or chrome://tracing: {trace}", soft_wrap=True, markup=False
        )


def _random_images(config: Config, steps: int) -> Tensor:
    """Enough images that no epoch ends during profiling."""
    from dcgan.profiling.step_profile import WARM_UP_STEPS
    from dcgan.profiling.step_timing import random_images

    images_per_step = config.training.batch_size * config.training.discriminator_batches
    return random_images(config, images_per_step * (steps + WARM_UP_STEPS + 1))


def _real_images(config: Config) -> Tensor:
    from dcgan.data.loading import load_images
    from dcgan.jobs.prepare import check_batches

    pixels = load_images(config.dataset).pixels
    check_batches(config, len(pixels))
    return pixels


def _title(config: Config, device: torch.device, steps: int, data: str) -> str:
    from dcgan.config.image_size import size_in_words
    from dcgan.training.precision import describe_arithmetic

    images = "random images" if data == "random" else "real images"
    size = size_in_words(config.dataset.image_size)
    return (
        f"\n[bold]{escape(config.name)}[/bold] on {device}, {describe_arithmetic(config, device)}: "
        f"{plural(steps, 'step')} of {config.training.batch_size} {images}, {size}\n"
    )


def _table(heading: str, shares: tuple[TimeShare, ...], total_ms: float | None = None) -> Table:
    table = borderless_table()
    table.add_column(heading, min_width=40)
    add_number_columns(table, "ms per step", "share", "calls per step")
    for part in shares:
        calls = f"{part.calls:.3g}" if part.calls else ""
        table.add_row(part.name, f"{part.ms:,.2f}", f"{part.fraction:.1%}", calls)
    if total_ms is not None:
        table.add_row("[bold]step[/bold]", f"{total_ms:,.2f}", "", "", end_section=True)
    return table
