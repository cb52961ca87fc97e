"""`dcgan sync` and `dcgan import`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dcgan.cli.options import DEFAULT_STORE, RunReference, Store
from tracking.backends import Remote
from tracking.errors import StoreError
from tracking.wording import plural

if TYPE_CHECKING:
    from tracking.transfer import TransferCount


class ImportSource(StrEnum):
    """What runs can be imported from."""

    MLFLOW = "mlflow"
    NEPTUNE_OFFLINE = "neptune-offline"
    NEPTUNE_EXPORT = "neptune-export"
    TENSORBOARD = "tensorboard"
    LOCAL = "local"

    @property
    def backend(self) -> str:
        return {"neptune-offline": "neptune", "neptune-export": "neptune_export"}.get(self, self)


def sync(
    to: Annotated[Remote, typer.Option(help="The store that shall hold what the journal holds.")],
    run: RunReference = "last",
    all_runs: Annotated[bool, typer.Option("--all", help="Every run of the store.")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Send to a tracker what it lacks of a run: all of it, or what it missed.

    It can be stopped and begun again, and sends nothing twice. A run that is
    being written is left out: its own trackers are at work.
    """
    from tracking.backends.local import run_folders
    from tracking.lock import is_locked
    from tracking.store import find_run
    from tracking.transfer import send_run

    folders = run_folders(store) if all_runs else [find_run(store, run)]
    if not folders:
        raise StoreError(f"There are no runs in {store}. Start one with: dcgan train")
    console = Console(highlight=False)
    for folder in folders:
        if all_runs and is_locked(folder):
            console.print(f"{folder.name}  [dim]is being written: left out[/dim]")
            continue
        with console.status(f"Sending {folder.name} to {to} ..."):
            moved = send_run(folder, to)
        console.print(f"{folder.name}  {_said(moved, f'{to} had all of it')}")


def import_runs(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PLACE",
            help="A store or folder; for MLflow also the address of a server or database.",
        ),
    ],
    kind: Annotated[ImportSource, typer.Option("--from", help="What kept the runs.")],
    rename: Annotated[
        list[str],
        typer.Option(
            help="A path there, or the beginning of paths, and what it is here.", metavar="OLD=NEW"
        ),
    ] = [],  # noqa: B006 (typer copies it)
    store: Store = DEFAULT_STORE,
) -> None:
    """Bring runs that were tracked elsewhere into this store.

    Runs that are here already get what they lack. [bold]neptune-export[/bold] reads the
    Parquet and files that Neptune's exporter saved of its hosted service. To
    compare old runs with new ones give their settings the paths of ours:
    [bold]--rename parameters/lr=config/optimizer/lr[/bold].
    """
    from tracking.backends import load_backend
    from tracking.transfer import import_run

    place = _place(source, kind)
    new_paths = dict(_pair(text) for text in rename)
    runs = load_backend(kind.backend).load_runs(place)
    if runs.empty:
        raise StoreError(f"There are no runs of {kind} in {source}.")
    console = Console(highlight=False)
    for run, fields in runs.to_dict("index").items():
        with console.status(f"Importing {run} ..."):
            row = {"sys/id": run, **{str(path): value for path, value in fields.items()}}
            moved = import_run(kind.backend, place, row, store, new_paths)
        if moved is None:
            console.print(f"{run}  [dim]was made here: left as it is[/dim]")
        else:
            console.print(f"{run}  {_said(moved, 'nothing was missing')}")


def _place(source: str, kind: ImportSource) -> Path | str:
    if kind is ImportSource.MLFLOW and "://" in source:
        return source
    place = Path(source)
    if not place.is_dir():
        raise StoreError(f"{place} is no folder from which runs could be imported.")
    return place


def _pair(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not (old and separator and new):
        raise typer.BadParameter(f"{text!r} is not OLD=NEW, such as parameters/lr=config/lr.")
    return old, new


def _said(moved: TransferCount, nothing: str) -> str:
    if not moved:
        return f"[dim]{nothing}[/dim]"
    parts = ((moved.values, "value"), (moved.images, "image"), (moved.files, "file"))
    return ", ".join(plural(count, name) for count, name in parts if count)
