"""`dcgan runs` and `dcgan show`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import STATUS_STYLES, duration, escape_control_characters
from dcgan.cli.options import DEFAULT_STORE, Json, RunReference, Store
from tracking.events import BATCH, CONFIG, EPOCH, TRACKERS
from tracking.fields import from_iso8601

LISTED = 50
"""Runs that a screen or two can show."""


def runs(
    where: Annotated[
        str | None,
        typer.Option(help="Only runs for which this holds, such as 'optimizer.lr < 1e-3'."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="In the order of a value, such as Gloss or optimizer.lr.")
    ] = None,
    descending: Annotated[
        bool, typer.Option("--desc", help="The largest value first, in place of the smallest.")
    ] = False,
    limit: Annotated[
        int, typer.Option(help="Print the last so many; 0 prints all.", min=0)
    ] = LISTED,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """List the runs of the store, the oldest first.

    Losses are the means of the last epoch. A run whose process is gone is [red]killed[/red].

    [bold]--where[/bold] compares what [bold]dcgan show[/bold] prints, in Python's words:
    [bold]--where 'optimizer.lr < 1e-3 and status == "finished" and "baseline" in tags'[/bold].
    """
    from tracking.backends.local import last_values, read_fields, run_folders
    from tracking.query import order, run_names, select

    found = {
        folder.name: (read_fields(folder), last_values(folder)) for folder in run_folders(store)
    }
    chosen = sorted(found, key=lambda run: str(found[run][0].get("sys/created")))
    if where is not None or sort is not None:
        names = {run: run_names(*found[run]) for run in chosen}
        if where is not None:
            chosen = select(where, names)
        if sort is not None:
            chosen = order(sort, {run: names[run] for run in chosen}, descending=descending)
    rows = [_row(run, *found[run]) for run in chosen]
    if sort is not None:
        rows = [row | {"sorted_by": names[str(row["run"])].names.get(sort)} for row in rows]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    console = Console(highlight=False)
    if not rows:
        none = "There are no such runs" if found else "There are no runs"
        console.print(f"{none} in {store}. Start one with: [bold]dcgan train[/bold]")
        return
    left_out = max(0, len(rows) - limit) if limit else 0
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("run", no_wrap=True)
    if sort is not None:
        table.add_column(escape_control_characters(sort), justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for name in ("epochs", "G loss", "D loss", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("tracked to")
    for row in rows[left_out:]:
        table.add_row(*_cells(row))
    console.print(table)
    if left_out:
        console.print(f"[dim]{left_out:,} before these: --limit 0 prints all.[/dim]")


def show(run: RunReference = "last", as_json: Json = False, store: Store = DEFAULT_STORE) -> None:
    """Show all that is known of a run: its configuration, its last values, its files."""
    from tracking.backends.local import last_values, read_fields
    from tracking.store import find_run

    folder = find_run(store, run)
    fields = {path: value for path, value in read_fields(folder).items() if value is not None}
    values = last_values(folder)
    if as_json:
        print(json.dumps({"fields": fields, "last": values}, indent=2))
        return
    console = Console(highlight=False)
    console.print(Text(folder.name, style="bold"), Text(str(fields.get("sys/status"))))
    for title, prefix in (("Run", "sys/"), ("Configuration", f"{CONFIG}/")):
        console.print(f"\n[bold]{title}[/bold]")
        console.print(_pairs(fields, prefix))
    console.print("\n[bold]Last values[/bold]")
    console.print(_pairs({path: v for path, v in values.items() if "/" in path}, ""))
    console.print("\n[bold]Files[/bold]")
    for path in _listed_files(folder):
        console.print(f"  {escape_control_characters(path)}", soft_wrap=True, markup=False)


def _row(run: str, fields: dict[str, Any], last: dict[str, float]) -> dict[str, object]:
    return {
        "run": run,
        "name": fields.get("sys/name"),
        "recipe": fields.get("sys/recipe"),
        "status": fields.get("sys/status"),
        "epochs": int(last.get(f"{EPOCH}/number", 0)),
        "epochs_planned": _epochs_planned(fields),
        "steps": int(last.get("step", 0)),
        "g_loss": last.get(f"{EPOCH}/Gloss", last.get(f"{BATCH}/Gloss")),
        "d_loss": last.get(f"{EPOCH}/Dloss", last.get(f"{BATCH}/Dloss")),
        "created": fields.get("sys/created"),
        "trackers": {
            path.removeprefix(f"{TRACKERS}/"): state
            for path, state in fields.items()
            if path.startswith(TRACKERS) and state is not None
        },
    }


def _epochs_planned(fields: dict[str, Any]) -> int | None:
    """Those of the configuration, or as many as its steps begin."""
    steps, size = (fields.get(f"{CONFIG}/{key}") for key in ("training/steps", "dataset/size"))
    if steps is None or size is None:
        return fields.get(f"{CONFIG}/training/epochs")
    batches = fields.get(f"{CONFIG}/training/discriminator_batches", 1)
    per_epoch = -(-size // (fields[f"{CONFIG}/training/batch_size"] * batches))
    return int(-(-steps // per_epoch))


def _cells(row: dict[str, Any]) -> list[Text]:
    losses = ["" if row[name] is None else f"{row[name]:.3f}" for name in ("g_loss", "d_loss")]
    age = duration(time.time() - from_iso8601(row["created"]) / 1000)
    trackers = [
        Text(name, style="" if state in ("complete", "open") else "red")
        for name, state in row["trackers"].items()
    ]
    return [
        Text(
            row["run"]
            if row["name"] == row["run"]
            else f"{row['run']} ({escape_control_characters(row['name'])})"
        ),
        *([_value(row["sorted_by"])] if "sorted_by" in row else []),
        Text(str(row["status"]), style=STATUS_STYLES.get(row["status"], "")),
        Text(f"{row['epochs']}/{row['epochs_planned'] or '?'}"),
        *map(Text, losses),
        Text(age),
        Text(", ").join([Text("local"), *trackers]),
    ]


def _value(value: object) -> Text:
    shown = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    return Text(escape_control_characters(shown))


def _pairs(values: dict[str, Any], prefix: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for path in sorted(values):
        if path.startswith(prefix):
            value = values[path]
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            table.add_row(
                Text(escape_control_characters(path.removeprefix(prefix)), style="dim"),
                Text(escape_control_characters(shown)),
            )
    return table


def _listed_files(folder: Path) -> list[str]:
    """The files of a run, a series of pictures in one line."""
    lines = [str(file) for file in sorted(folder.glob("*.json*"))]
    lines += [str(file) for file in sorted((folder / "artifacts").glob("*"))]
    series = {file.parent for file in (folder / "images").rglob("*.png")}
    for pictures in (sorted(each.glob("*.png")) for each in sorted(series)):
        lines.append(f"{pictures[-1]} (the last of {len(pictures)})")
    lines += [str(file) for file in sorted((folder / "checkpoints").glob("*.pt"))]
    return lines
