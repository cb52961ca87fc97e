"""`dcgan tag`, `rename`, `delete`, `restore` and `du`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from dcgan.cli.fitting_table import Column, fitting_table, text_column
from dcgan.cli.format import (
    escape_control_characters,
    print_json,
    size,
)
from dcgan.cli.options import Json, RunReference, Store, several_runs
from dcgan.store_dir import DEFAULT_STORE, dcgan_command
from tracking.errors import UserError
from tracking.wording import plural


def tag(
    run: RunReference,
    tags: Annotated[
        list[str], typer.Argument(metavar="TAG", help="Tags to add, or with --remove to remove.")
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tags.")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Add tags to a run, or remove them.

    [bold]dcgan sync[/bold] brings the change to other trackers.
    """
    from tracking.backends.local import read_fields
    from tracking.store import find_run, tag_run

    folder = find_run(store, run)
    before = read_fields(folder).get("sys/tags")
    remaining = tag_run(folder, [] if remove else tags, tags if remove else [])
    shown = ", ".join(map(escape_control_characters, remaining)) or "no tags"
    had = before if isinstance(before, list) else []
    absent = [escape_control_characters(tag) for tag in tags if remove and tag not in had]
    note = f"; it had no tag {', '.join(absent)}" if absent else ""
    Console(highlight=False).print(f"{folder.name}: {shown}{note}", markup=False)


def rename(
    run: RunReference,
    name: Annotated[str, typer.Argument(metavar="NAME", help="New name; the id stays the same.")],
    store: Store = DEFAULT_STORE,
) -> None:
    """Rename a run."""
    from tracking.store import find_run, rename_run

    folder = find_run(store, run)
    new_name = rename_run(folder, name)
    Console(highlight=False).print(f"{folder.name} is now named {new_name}", markup=False)


def delete(
    runs: Annotated[list[str] | None, several_runs("Ids, starts of ids, or names.")] = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Empty the trash: delete its runs permanently.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Move runs to the trash; [bold]dcgan restore[/bold] brings them back.

    Copies of the runs in MLflow or Neptune are not deleted.
    """
    from tracking.store import find_run, purge_trash, trash_run, trashed_runs

    console = Console(highlight=False)
    if not runs and not purge:
        raise UserError("Name a run, or empty the trash with --purge.")
    for folder in dict.fromkeys(find_run(store, run) for run in runs or []):
        trash_run(folder)
        command = dcgan_command("restore", folder.name, store=store)
        console.print(
            f"Moved {folder.name} to the trash. To undo: {command}", soft_wrap=True, markup=False
        )
    if purge:
        trashed = trashed_runs(store)
        trashed_count, trashed_size = plural(len(trashed), "run"), size(sum(map(_bytes, trashed)))
        if not trashed:
            console.print("The trash is empty.")
        elif yes or typer.confirm(f"Permanently delete {trashed_count} ({trashed_size})?"):
            purge_trash(store)
            console.print(f"Deleted {trashed_count}, freed {trashed_size}.")


def restore(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run in the trash.")],
    store: Store = DEFAULT_STORE,
) -> None:
    """Bring a run back from the trash."""
    from tracking.store import restore_run

    folder = restore_run(store, run)
    Console(highlight=False).print(f"{folder.name} is back in {store}.", markup=False)


def du(as_json: Json = False, store: Store = DEFAULT_STORE) -> None:
    """Show the disk usage of each run, largest first, and of the rest of the store."""
    from tracking.backends.local import run_folders
    from tracking.store import TRASH, no_runs

    if not store.exists():
        raise no_runs(store)
    parts = ("metrics", "images", "artifacts", "checkpoints", "plots")
    runs = {folder.name: _bytes_by_part(folder, parts) for folder in run_folders(store)}
    others = [
        path for path in sorted(store.iterdir()) if path.name not in runs and path.name != TRASH
    ]
    beside = {path.name: used for path in others if (used := _bytes(path))}
    if (store / TRASH).exists():
        beside["trash"] = _bytes(store / TRASH)
    if as_json:
        print_json({"runs": runs, "beside": beside})
        return
    rows = [
        (run, [sum(sizes.values()), *(sizes[part] for part in parts)])
        for run, sizes in sorted(runs.items(), key=lambda row: -sum(row[1].values()))
    ]
    rows += [(name, [used]) for name, used in beside.items()]
    rows.append(("total", [sum(sizes[0] for _, sizes in rows)]))
    names = [
        Text(escape_control_characters(name), style="" if name in runs else "dim")
        for name, _ in rows
    ]
    columns = [text_column("run", names)]
    for position, heading in enumerate(("total", *parts)):
        cells = [
            size(sizes[position]) if position < len(sizes) and sizes[position] else ""
            for _, sizes in rows
        ]
        columns.append(Column(heading, list(map(Text, cells))))
    console = Console(highlight=False)
    table = fitting_table(
        columns, console.width, optional=tuple(reversed(parts)), strong=[len(rows) - 1]
    ).table
    console.print(table)


def _bytes_by_part(folder: Path, parts: tuple[str, ...]) -> dict[str, int]:
    """Bytes by part; the run's own small files count as metrics."""
    sizes = {part: _bytes(folder / part) for part in parts if part != "metrics"}
    return {"metrics": _bytes(folder) - sum(sizes.values()), **sizes}


def _bytes(path: Path) -> int:
    if path.is_file() or path.is_symlink():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
