"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from tracking.backends import REMOTES

if TYPE_CHECKING:
    from dcgan.config.loading import Override
    from dcgan.training.checkpoint import CheckpointRef

Store = Annotated[
    Path,
    typer.Option(
        "--store", envvar="DCGAN_STORE", help="The folder in which runs land.", show_default=True
    ),
]
DEFAULT_STORE = Path("runs")


def known_runs(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Completes RUN in the shell."""
    from tracking.backends.local import read_fields, run_folders

    store = ctx.params.get("store") or DEFAULT_STORE
    for folder in run_folders(store):
        if folder.name.startswith(incomplete):
            yield folder.name, str(read_fields(folder).get("sys/status"))
    if "last".startswith(incomplete):
        yield "last", "the newest run"


RunReference = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="An id, the start of an id, a name, or [bold]last[/bold].",
        autocompletion=known_runs,
    ),
]
Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="[STEP|last|best]",
        help="By its step, the last one, or the best by evaluation.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="auto (CUDA where there is one), cpu, cuda, cuda:1, ...")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_CONFIGURATION, _TRACKING = "Configuration", "Tracking"


def _known_trackers(names: list[str] | None) -> list[str]:
    """The remote backends among `names`, once each; `local` is always on."""
    for name in names or []:
        if name not in ("local", *REMOTES):
            raise typer.BadParameter(f"{name!r} is none of: local, {', '.join(REMOTES)}.")
    return [name for name in dict.fromkeys(names or []) if name != "local"]


Epochs = Annotated[
    int | None, typer.Option(help="Passes over the data.", rich_help_panel=_CONFIGURATION)
]
Steps = Annotated[
    int | None, typer.Option(help="In place of epochs.", rich_help_panel=_CONFIGURATION)
]
BatchSize = Annotated[
    int | None, typer.Option(help="Images a step.", rich_help_panel=_CONFIGURATION)
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="[fp32|tf32|bf16]",
        help="tf32 on NVIDIA GPUs; bf16 is fast there and on CPUs with AMX or AVX-512 BF16.",
        rich_help_panel=_CONFIGURATION,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="The folder with the recipe's data, or any folder of images in their place.",
        rich_help_panel=_CONFIGURATION,
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download",
        help="Let torchvision download MNIST, CIFAR-10 or CelebA where it is missing.",
        rich_help_panel=_CONFIGURATION,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any key of the recipe, such as network.latent_size=64; repeatable.",
        rich_help_panel=_CONFIGURATION,
    ),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar=f"[{'|'.join(REMOTES)}]",
        help="Track there too, beside the local journal; repeatable.",
        callback=_known_trackers,
        rich_help_panel=_TRACKING,
    ),
]


def parse_checkpoint(text: str) -> CheckpointRef:
    """Raises typer.BadParameter for what is no checkpoint."""
    if text in ("last", "best"):
        return cast(Literal["last", "best"], text)
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is no step, nor last or best.")
    return int(text)


def overrides(
    settings: list[str] | None, flags: dict[str, tuple[str, int | float | str | None]]
) -> list[Override]:
    """What --set says, then what the flags say. flags: of each the key and the value."""
    from dcgan.config.loading import Override, parse_override

    given = [parse_override(setting) for setting in settings or []]
    return given + [
        Override(key, value, f"{flag} {value}")
        for flag, (key, value) in flags.items()
        if value is not None
    ]


def place(dataset: str, folder: Path) -> list[Override]:
    """The recipe's own data set where `folder` holds it, otherwise the images in `folder`."""
    from dcgan.config.loading import Override
    from dcgan.data.sources.torchvision_sets import folder_has_set

    name = dataset if folder_has_set(dataset, folder) else "folder"
    return [
        Override("dataset.name", name, f"--data {folder}"),
        Override("dataset.path", str(folder), f"--data {folder}"),
    ]
