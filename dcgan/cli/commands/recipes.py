"""`dcgan recipes`: what can be trained by name, and where to start one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from dcgan.cli.errors import LabGroup
from dcgan.cli.format import duration
from dcgan.cpu.allocator import keep_memory

if TYPE_CHECKING:
    from dcgan.config.schema import Config

app = typer.Typer(cls=LabGroup, help="List the recipes, show one, copy one.")


def _known_recipes() -> list[str]:
    from dcgan.config.loading import recipe_names

    return recipe_names()


Recipe = Annotated[
    str, typer.Argument(metavar="RECIPE", help="By name.", autocompletion=_known_recipes)
]


@app.callback(invoke_without_command=True)
def recipes(
    ctx: typer.Context,
    timed: Annotated[
        bool,
        typer.Option(
            "--time/--no-time",
            help="Run 20 steps of each recipe whose time on this machine is not yet known.",
        ),
    ] = True,
) -> None:
    """List the recipes with their source, their data, and how long each takes here.

    The time is that of 20 steps on random images, times the steps of the whole
    run. It is measured once on a machine and remembered.
    """
    if ctx.invoked_subcommand is not None:
        return
    keep_memory()  # as a training does, or the times would be too long
    from dcgan.config.loading import load_config, recipe_names
    from dcgan.profiling.step_timing import cached_run_seconds, measure_run_seconds

    configs = [load_config(name, []) for name in recipe_names()]
    times = {config.name: cached_run_seconds(config) for config in configs}
    console = Console(highlight=False)
    with Live(_table(configs, times), console=console, auto_refresh=False, transient=True) as live:
        for config in configs:
            if timed and times[config.name] is None:
                times[config.name] = measure_run_seconds(config)
                live.update(_table(configs, times), refresh=True)
    console.print(_table(configs, times))
    console.print(
        "\nRead one with [bold]dcgan recipes show NAME[/bold], "
        "start your own with [bold]dcgan recipes copy NAME FILE.toml[/bold]."
    )


@app.command()
def show(recipe: Recipe) -> None:
    """Print a recipe with its comments."""
    from dcgan.config.loading import recipe_text

    text = recipe_text(recipe)
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(Syntax(text, "toml", background_color="default"))
    else:
        print(text, end="")


@app.command()
def copy(
    recipe: Recipe,
    file: Annotated[Path, typer.Argument(help="The .toml file to write; it must not exist.")],
) -> None:
    """Copy a recipe, to change it and train it by its path."""
    from dcgan.config.loading import recipe_text
    from dcgan.config.schema import ConfigError

    text = recipe_text(recipe).replace(f'name = "{recipe}"', f'name = "{file.stem}"', 1)
    if file.suffix != ".toml":
        raise ConfigError(f"{file}: a recipe's file ends with .toml.")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{file} exists already: it is left as it was.") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from error
    Console(highlight=False).print(f"Train it with: [bold]dcgan train {file}[/bold]")


def _table(configs: list[Config], times: dict[str, float | None]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("source", min_width=18)
    table.add_column("data", no_wrap=True)
    table.add_column("size", no_wrap=True)
    table.add_column("time here", justify="right", no_wrap=True)
    for config in configs:
        seconds = times[config.name]
        table.add_row(
            Text(config.name, style="bold"),
            config.source.experiment,
            _data(config),
            f"{config.source.images:,} images\n{_length(config)}",
            "" if seconds is None else duration(seconds),
            end_section=True,
        )
    return table


def _data(config: Config) -> str:
    dataset = config.dataset
    name = {"folder": "--data FOLDER", "sky": "sky (synthetic)"}.get(dataset.name, dataset.name)
    colours = "grey" if dataset.channels == 1 else "RGB"
    return f"{name}\n{dataset.image_size}x{dataset.image_size} {colours}"


def _length(config: Config) -> str:
    training = config.training
    if training.steps is not None:
        return f"{training.steps:,} steps"
    return f"{training.epochs} epochs"
