"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[
    Path,
    typer.Option(
        "--store", envvar="DCGAN_STORE", help="The folder in which runs land.", show_default=True
    ),
]
DEFAULT_STORE = Path("runs")


def _known_runs(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
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
        autocompletion=_known_runs,
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="auto (CUDA where there is one), cpu, cuda, cuda:1, ...")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
