"""`dcgan tag`, `rename`, `delete`, `restore` and `du`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import escape_control_characters, size
from dcgan.cli.options import DEFAULT_STORE, Json, RunReference, Store


def tag(
    run: RunReference,
    tags: Annotated[list[str], typer.Argument(help="What to add, or with --remove to take off.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tags off.")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Add tags to a run, or take them off.

    Other trackers learn of it by [bold]dcgan sync[/bold].
    """
    from tracking.store import find_run, tag_run

    folder = find_run(store, run)
    left = tag_run(folder, [] if remove else tags, tags if remove else [])
    said = ", ".join(map(escape_control_characters, left)) or "no tags"
    Console(highlight=False).print(f"{folder.name}: {said}", markup=False)


def rename(
    run: RunReference,
    name: Annotated[str, typer.Argument(help="What to call it; its id stays.")],
    store: Store = DEFAULT_STORE,
) -> None:
    """Give a run another name."""
    from tracking.store import find_run, rename_run

    folder = find_run(store, run)
    rename_run(folder, name)
    Console(highlight=False).print(f"{folder.name} is now called {name}", markup=False)


def delete(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="By id, start of an id, or name.", show_default=""),
    ] = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Empty the trash: what is in it is gone for good.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Put runs into the store's trash, from which [bold]dcgan restore[/bold] brings them back.

    What MLflow or Neptune hold of them stays there.
    """
    from tracking.store import find_run, purge_trash, trash_run, trashed_runs

    console = Console(highlight=False)
    if not runs and not purge:
        raise typer.BadParameter("Name a run, or empty the trash with --purge.")
    for folder in [find_run(store, run) for run in runs or []]:
        trash_run(folder)
        console.print(f"{folder.name} is in the trash. Back again: dcgan restore {folder.name}")
    if purge:
        inside = trashed_runs(store)
        taken = size(sum(_bytes(folder) for folder in inside))
        if not inside:
            console.print("The trash is empty.")
        elif yes or typer.confirm(f"Delete {len(inside)} runs ({taken}) for good?"):
            purge_trash(store)
            console.print(f"{len(inside)} runs deleted, {taken} free.")


def restore(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of a run in the trash.")],
    store: Store = DEFAULT_STORE,
) -> None:
    """Bring a run back from the trash."""
    from tracking.store import restore_run

    folder = restore_run(store, run)
    Console(highlight=False).print(f"{folder.name} is back in {store}.", markup=False)


def du(as_json: Json = False, store: Store = DEFAULT_STORE) -> None:
    """Show what takes the space in the store: by run, the largest first."""
    from tracking.backends.local import run_folders
    from tracking.store import TRASH

    parts = ("metrics", "images", "artifacts", "checkpoints", "plots")
    rows = {folder.name: _parts(folder, parts) for folder in run_folders(store)}
    known = {store / name for name in rows}
    others = [path for path in sorted(store.iterdir()) if path not in known and path.name != TRASH]
    beside = {path.name: _bytes(path) for path in others if _bytes(path)}
    if (store / TRASH).exists():
        beside["trash"] = _bytes(store / TRASH)
    if as_json:
        import json

        print(json.dumps({"runs": rows, "beside": beside}, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("run", no_wrap=True)
    for name in ("total", *parts):
        table.add_column(name, justify="right", no_wrap=True)
    for run, sizes in sorted(rows.items(), key=lambda row: -sum(row[1].values())):
        cells = (size(sizes[part]) if sizes[part] else "" for part in parts)
        table.add_row(Text(run), size(sum(sizes.values())), *cells)
    for name, taken in beside.items():
        table.add_row(Text(escape_control_characters(name), style="dim"), size(taken))
    total = sum(sum(each.values()) for each in rows.values()) + sum(beside.values())
    table.add_row(Text("all", style="bold"), Text(size(total), style="bold"))
    Console(highlight=False).print(table)


def _parts(folder: Path, parts: tuple[str, ...]) -> dict[str, int]:
    """Bytes by part; the small files of a run count as metrics."""
    sizes = {part: _bytes(folder / part) for part in parts if part != "metrics"}
    return {"metrics": _bytes(folder) - sum(sizes.values()), **sizes}


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
