"""`dcgan sync` and `dcgan import`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dcgan.cli.options import RunReference, Store
from dcgan.cli.trackers import (
    ImportSource,
    check_import_source,
    import_backend,
)
from dcgan.store_dir import DEFAULT_STORE
from tracking.backends import REMOTES, check_tracker, tracker_names
from tracking.errors import StoreError, UserError
from tracking.sources import RunSource, resolve_source
from tracking.wording import plural

if TYPE_CHECKING:
    from tracking.transfer import TransferCount


_MAX_FAILURES = 10


def sync(
    to: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"The tracker to send to: {', '.join(REMOTES)}.",
            callback=check_tracker,
            autocompletion=tracker_names,
        ),
    ],
    run: RunReference = "last",
    all_runs: Annotated[bool, typer.Option("--all", help="Send every run in the store.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Then compare what the tracker holds, value by value."),
    ] = False,
    model: Annotated[
        bool,
        typer.Option(
            "--model",
            help="Then log the generator, best or else last, to MLflow as a model it can serve.",
        ),
    ] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Send a run, or the missing parts of it, to a tracker.

    You can stop and repeat the command; nothing is sent twice. With
    [bold]--all[/bold], runs that are still training are skipped.

    If a value was measured twice at a step, for example by a second
    [bold]dcgan evaluate[/bold], the later one counts in both places.
    """
    from tracking.backends.local import run_folders
    from tracking.lock import is_trained
    from tracking.store import find_run, no_runs
    from tracking.transfer import send_run
    from tracking.verify import find_differences

    if model:
        from dcgan.jobs.log_model import log_generator, require_mlflow

        require_mlflow([to], "--model", "--to mlflow")
    folders = run_folders(store) if all_runs else [find_run(store, run)]
    if not folders:
        raise no_runs(store)
    console = Console(highlight=False)
    failures: list[UserError] = []
    for folder in folders:
        if all_runs and is_trained(folder):
            console.print(f"{folder.name}  [dim]still training: skipped[/dim]")
            continue
        try:
            with console.status(f"Sending {folder.name} to {to} ..."):
                transferred = send_run(folder, to)
                differences = find_differences(folder, to) if verify else []
                logged = log_generator(folder) if model else None
        except UserError as error:
            failures.append(error)
            continue
        console.print(f"{folder.name}  {_counts(transferred, f'{to} is up to date')}")
        if logged:
            console.print(
                f"{folder.name}  {logged.address} of step {logged.step:,}", soft_wrap=True
            )
        if differences:
            heading = f"What {to} has of the run {folder.name} differs from its journal."
            failures.append(StoreError("\n".join([heading, *differences])))
    _report(failures, "sent", len(folders))


def import_runs(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder to import from; for MLflow also the address of a server or database.",
        ),
    ],
    kind: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="KIND",
            help=f"What the runs were tracked with: {', '.join(ImportSource)}.",
            callback=check_import_source,
        ),
    ],
    rename: Annotated[
        list[str],
        typer.Option(help="Rename a path, or the start of paths; repeatable.", metavar="OLD=NEW"),
    ] = [],  # noqa: B006 (typer copies it)
    store: Store = DEFAULT_STORE,
) -> None:
    """Import runs that were tracked elsewhere.

    The runs may be this program's own or anyone's. Runs that are already here
    only get missing data. [bold]neptune-offline[/bold] reads what Neptune's client
    keeps in [bold].neptune[/bold]; [bold]neptune-export[/bold] reads the Parquet tables and
    files that Neptune's exporter wrote.

    To compare imported runs with your own, give their settings the same paths:
    [bold]--rename parameters/lr=config/optimizer/lr[/bold]
    """
    from tracking.backends import load_reader
    from tracking.backends.foreign import UNMAPPED
    from tracking.transfer import import_run

    new_paths = _parse_renamings(rename)
    for reader, location in _places(source, kind):
        runs = load_reader(reader).load_runs(location)
        if not runs.empty:
            break
    else:
        raise StoreError(f"There are no {kind} runs in {source}.{_hint(source, kind)}")
    UNMAPPED.clear()
    console = Console(highlight=False)
    failures: list[StoreError] = []
    for run, fields in runs.to_dict("index").items():
        row = {"sys/id": run, **{str(path): value for path, value in fields.items()}}
        try:
            with console.status(f"Importing {escape(str(run))} ..."):
                transferred = import_run(reader, location, row, store, new_paths)
        except StoreError as error:
            failures.append(error)
            continue
        if transferred is None:
            console.print(f"{escape(str(run))}  [dim]was trained here: left unchanged[/dim]")
        else:
            console.print(f"{escape(str(run))}  {_counts(transferred, 'up to date')}")
    if left_out := ", ".join(plural(count, kind) for kind, count in UNMAPPED.items() if count):
        console.print(
            f"Not imported, because a run cannot hold them here: {left_out}.", style="yellow"
        )
    _report(failures, "imported", len(runs))


def _report(failures: Sequence[UserError], done: str, total: int) -> None:
    """Raise the errors of the runs that failed, after all others are done.

    Args:
        failures: One error per run that failed.
        done: What was to be done to the runs, such as `sent`.
        total: The number of runs.
    """
    if len(failures) == 1:
        raise failures[0]
    if failures:
        shown = [str(error).splitlines()[0] for error in failures[:_MAX_FAILURES]]
        if len(failures) > _MAX_FAILURES:
            shown.append(f"and {len(failures) - _MAX_FAILURES:,} more")
        count = plural(len(failures), "run")
        others = "; all others were" if len(failures) < total else ""
        raise StoreError("\n".join([f"{count} could not be {done}{others}.", *shown]))


def _places(source: str, kind: str) -> Iterator[tuple[str, Path | str]]:
    """Readers and the locations they read: first of this program's runs, then of any others."""
    location: Path | str = source
    if kind != ImportSource.MLFLOW or "://" not in source:
        path = Path(source)
        if not path.is_dir() and not (path.is_file() and kind == ImportSource.MLFLOW):
            reason = "it is not a folder" if path.exists() else "there is no such folder"
            raise StoreError(f"Runs cannot be imported from {path}: {reason}.")
        try:
            location = resolve_source(RunSource(import_backend(kind), path)).location
        except StoreError:
            location = path
    if kind == ImportSource.MLFLOW and isinstance(location, Path):
        return  # not an MLflow database
    yield import_backend(kind), location
    if kind == ImportSource.MLFLOW:
        yield f"foreign.{kind}", location
    if kind == ImportSource.TENSORBOARD:
        yield f"foreign.{kind}", Path(source)


def _hint(source: str, kind: str) -> str:
    if kind != ImportSource.MLFLOW or "://" in source:
        return "\nName the folder that holds them, or choose another kind with --from."
    if next(Path(source).glob("**/meta.yaml"), None):
        return (
            "\nIt is MLflow's old file store. Make a database of it, and import that:\n"
            f"mlflow migrate-filestore --source {source} --target sqlite:///mlflow.db"
        )
    return (
        "\nName a folder with mlflow.db, any sqlite file of MLflow, or the address of a server, "
        "such as http://localhost:5000. Another experiment than dcgan is read if that one has no "
        "runs, or if MLFLOW_EXPERIMENT_NAME names it."
    )


def _parse_renamings(texts: Sequence[str]) -> dict[str, str]:
    new_paths: dict[str, str] = {}
    for text in texts:
        old, separator, new = text.partition("=")
        if not (old and separator and new):
            raise typer.BadParameter(
                f"{text!r} is not of the form OLD=NEW, such as parameters/lr=config/lr."
            )
        if new_paths.setdefault(old, new) != new:
            raise typer.BadParameter(f"{old} is renamed twice: {new_paths[old]} and {new}.")
    return new_paths


def _counts(transferred: TransferCount, if_nothing: str) -> str:
    if not transferred:
        return f"[dim]{if_nothing}[/dim]"
    parts = (
        (transferred.values, "value"),
        (transferred.images, "image"),
        (transferred.files, "file"),
    )
    return ", ".join(plural(count, name) for count, name in parts if count)
