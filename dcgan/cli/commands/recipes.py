"""`dcgan recipes`: list the built-in recipes, print one, or copy one as a start for your own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from dcgan.cli.errors import LabGroup
from dcgan.cli.format import add_number_columns, borderless_table, duration
from dcgan.cli.options import complete_recipe
from dcgan.cpu.allocator import keep_memory
from dcgan.store_dir import command_line

if TYPE_CHECKING:
    from dcgan.config.schema import Config

_NUMBER = re.compile(r"^S\d: ")
"""That of a published experiment among those that this project repeats."""

app = typer.Typer(cls=LabGroup, rich_markup_mode="rich")


RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="Name of a built-in recipe.", autocompletion=complete_recipe
    ),
]


Timed = Annotated[
    bool,
    typer.Option("--time", help="Time 20 steps of each recipe that has not been timed here."),
]


@app.callback(invoke_without_command=True)
def recipes(ctx: typer.Context, timed: Timed = False) -> None:
    """List the recipes with source, data set and estimated time; print or copy one.

    The time for this machine is extrapolated from 20 steps on random images.
    [bold]--time[/bold] measures it, which takes a few minutes, and caches the result.
    """
    if ctx.invoked_subcommand is None:
        list_recipes(timed)


@app.command("list")
def list_recipes(timed: Timed = False) -> None:
    """List the recipes, as [bold]dcgan recipes[/bold] alone does."""
    from dcgan.config.loading import load_config, recipe_names

    configs = [load_config(name, []) for name in recipe_names()]
    console = Console(highlight=False)
    times = _times(configs, timed, console)
    console.print(_table(configs, times))
    if None in times.values():
        console.print("\nEstimate the missing times with [bold]dcgan recipes --time[/bold].")
    console.print(
        "\nPrint a recipe with [bold]dcgan recipes show RECIPE[/bold]; "
        "start your own with [bold]dcgan recipes copy RECIPE FILE[/bold]."
    )


def _times(configs: list[Config], timed: bool, console: Console) -> dict[str, float | None]:
    """The estimated seconds of each recipe; None if they are not known."""
    keep_memory()  # as in training; otherwise the estimates would be too long
    from dcgan.profiling.step_timing import cached_run_seconds, measure_run_seconds

    times = {config.name: cached_run_seconds(config) for config in configs}
    if not timed:
        return times
    with Live(_table(configs, times), console=console, auto_refresh=False, transient=True) as live:
        for config in configs:
            if times[config.name] is None:
                times[config.name] = measure_run_seconds(config)
                live.update(_table(configs, times), refresh=True)
    return times


@app.command()
def show(recipe: RecipeName) -> None:
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
    recipe: RecipeName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The .toml file to write; it must not exist yet.")
    ],
) -> None:
    """Copy a recipe to a file as a starting point for your own."""
    import tomli_w

    from dcgan.config.loading import recipe_text
    from dcgan.config.schema import MAX_NAME, ConfigError
    from tracking.errors import not_written

    name = tomli_w.dumps({"name": file.stem[:MAX_NAME]}).strip()
    text = recipe_text(recipe).replace(f'name = "{recipe}"', name, 1)
    if file.suffix != ".toml":
        raise ConfigError(f"{file}: the name of a recipe file ends with .toml.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{file} exists already and was not overwritten. Choose another name."
        ) from error
    except OSError as error:
        raise not_written(file, error, "Choose another place for it.") from error
    command = escape(command_line("dcgan", "train", str(file)))
    Console(highlight=False).print(f"Train it with: [bold]{command}[/bold]", soft_wrap=True)


def _table(configs: list[Config], times: dict[str, float | None]) -> Table:
    table = borderless_table()
    table.add_column("recipe", no_wrap=True)
    table.add_column("source", min_width=18)
    table.add_column("data", no_wrap=True)
    table.add_column("size", no_wrap=True)
    add_number_columns(table, "est. time")
    for config in configs:
        seconds = times[config.name]
        table.add_row(
            Text(config.name, style="bold"),
            _NUMBER.sub("", config.source.experiment),
            _data(config),
            f"{config.source.images:,} images\n{config.training.length}",
            "" if seconds is None else duration(seconds),
            end_section=True,
        )
    return table


def _data(config: Config) -> str:
    from dcgan.config.image_size import size_in_words

    dataset = config.dataset
    name = {"folder": "--data FOLDER", "sky": "sky (synthetic)"}.get(dataset.name, dataset.name)
    return f"{name}\n{size_in_words(dataset.image_size)} {dataset.colours}"
