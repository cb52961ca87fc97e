"""`dcgan runs` and `dcgan show`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import (
    STATUS_STYLES,
    add_number_columns,
    borderless_table,
    duration,
    escape_control_characters,
)
from dcgan.cli.options import DEFAULT_STORE, Json, RunReference, Store
from dcgan.run_folder import CHECKPOINT_DIR
from tracking.events import BATCH, CONFIG, EPOCH, TRACKERS
from tracking.fields import from_iso8601
from tracking.run_files import image_files, run_files

DEFAULT_LIMIT = 50
"""Runs that fit on a screen or two."""


def runs(
    where: Annotated[
        str | None, typer.Option(help="Only runs that match, such as 'optimizer.lr < 1e-3'.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Sort by a value, such as Gloss or optimizer.lr.")
    ] = None,
    descending: Annotated[bool, typer.Option("--desc", help="Sort largest value first.")] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", help="Print the last N runs; 0 prints all.", min=0)
    ] = DEFAULT_LIMIT,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """List the runs in the store, oldest first.

    Losses are means over the last epoch. A run whose process is gone is shown
    as [red]killed[/red].

    [bold]--where[/bold] takes a Python expression over the values that
    [bold]dcgan show[/bold] prints:

    [bold]--where 'optimizer.lr < 1e-3 and status == "finished" and "baseline" in tags'[/bold]
    """
    from tracking.backends.local import last_values, readable_runs
    from tracking.query import order, run_names, select

    records = {
        folder.name: (fields, last_values(folder))
        for folder, fields in readable_runs(store).items()
    }
    selected = sorted(records, key=lambda run: str(records[run][0].get("sys/created")))
    if where is not None or sort is not None:
        names = {run: run_names(*records[run]) for run in selected}
        if where is not None:
            selected = select(where, names)
        if sort is not None:
            selected = order(sort, {run: names[run] for run in selected}, descending=descending)
    rows = [_row(run, *records[run]) for run in selected]
    if sort is not None:
        rows = [row | {"sorted_by": names[str(row["run"])].names.get(sort)} for row in rows]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    console = Console(highlight=False)
    if not rows:
        if records:
            console.print(f"No runs in {store} match.")
        else:
            console.print(f"There are no runs in {store}. Start one with: [bold]dcgan train[/bold]")
        return
    shown = rows[-limit:] if limit else rows
    table = borderless_table()
    table.add_column("run", no_wrap=True)
    if sort is not None:
        add_number_columns(table, escape_control_characters(sort))
    table.add_column("status", no_wrap=True)
    add_number_columns(table, "epochs", "G loss", "D loss", "age")
    table.add_column("tracked to")
    for row in shown:
        table.add_row(*_cells(row))
    console.print(table)
    if len(shown) < len(rows):
        console.print(
            f"[dim]The last {len(shown):,} of {len(rows):,} runs; --limit 0 prints all.[/dim]"
        )


def show(run: RunReference = "last", as_json: Json = False, store: Store = DEFAULT_STORE) -> None:
    """Show everything recorded about a run: configuration, last values, files."""
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
        console.print(_value_table(fields, prefix))
    console.print("\n[bold]Last values[/bold]")
    console.print(_value_table({path: v for path, v in values.items() if "/" in path}, ""))
    console.print("\n[bold]Files[/bold]")
    for line in _file_lines(folder):
        console.print(f"  {escape_control_characters(line)}", soft_wrap=True, markup=False)


def _row(run: str, fields: dict[str, Any], last: dict[str, float]) -> dict[str, object]:
    return {
        "run": run,
        "name": fields.get("sys/name"),
        "recipe": fields.get("sys/recipe"),
        "status": fields.get("sys/status"),
        "epochs": _whole(last.get(f"{EPOCH}/number", 0)),
        "epochs_planned": _epochs_planned(fields),
        "steps": _whole(last.get("step", 0)),
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
    """Epochs of the configuration; if it sets steps, the epochs that they reach into."""
    epochs, steps, size, batch_size = (
        value if isinstance(value, int) and value > 0 else None  # an imported run may have any
        for key in ("training/epochs", "training/steps", "dataset/size", "training/batch_size")
        for value in (fields.get(f"{CONFIG}/{key}"),)
    )
    if steps is None or size is None or batch_size is None:
        return epochs
    batches = _whole(fields.get(f"{CONFIG}/training/discriminator_batches")) or 1
    steps_per_epoch = -(-size // (batch_size * batches))
    return -(-steps // steps_per_epoch)


def _whole(value: object) -> int:
    """A count as an integer; 0 if it is not finite or no number."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def _cells(row: dict[str, Any]) -> list[Text]:
    run = row["run"]
    if row["name"] != run:
        run = f"{run} ({escape_control_characters(row['name'])})"
    losses = ["" if row[name] is None else f"{row[name]:.3f}" for name in ("g_loss", "d_loss")]
    age = duration(time.time() - from_iso8601(row["created"]) / 1000)
    trackers = [
        Text(escape_control_characters(name), style="" if state in ("complete", "open") else "red")
        for name, state in row["trackers"].items()
    ]
    return [
        Text(run),
        *([_sort_cell(row["sorted_by"])] if "sorted_by" in row else []),
        Text(str(row["status"]), style=STATUS_STYLES.get(row["status"], "")),
        Text(f"{row['epochs']}/{row['epochs_planned'] or '?'}"),
        *map(Text, losses),
        Text(age),
        Text(", ").join([Text("local"), *trackers]),
    ]


def _sort_cell(value: object) -> Text:
    shown = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    return Text(escape_control_characters(shown))


def _value_table(values: dict[str, Any], prefix: str) -> Table:
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


def _file_lines(folder: Path) -> list[str]:
    """The files of a run, one line each; a series of images takes one line."""
    lines = [str(file) for file in sorted(folder.glob("*.json*"))]
    lines += [str(file) for file in run_files(folder, "artifacts")]
    series: dict[str, list[Path]] = {}
    for (path, _), file in image_files(folder).items():
        series.setdefault(path, []).append(file)
    for images in series.values():
        lines.append(f"{images[-1]}{f' (last of {len(images)})' if len(images) > 1 else ''}")
    lines += [str(file) for file in run_files(folder, CHECKPOINT_DIR) if file.suffix == ".pt"]
    return lines
