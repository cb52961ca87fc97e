"""`dcgan runs` and `dcgan show`."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.fitting_table import Column, fitting_table, text_column
from dcgan.cli.format import (
    STATUS_STYLES,
    duration,
    escape_control_characters,
    print_json,
)
from dcgan.cli.health_lines import rules_that_hold
from dcgan.cli.options import Json, RunReference, Store
from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.store_dir import DEFAULT_STORE, store_dir
from tracking.events import CONFIG, EPOCH, HEALTH, TRACKERS
from tracking.fields import from_iso8601, to_text
from tracking.last_losses import last_losses
from tracking.run_files import image_files, run_files
from tracking.wording import rounded

DEFAULT_LIMIT = 50
"""The number of runs to print by default: a screen or two."""

_MAX_NAME_WIDTH = 46
"""The width at which `dcgan show` wraps paths."""


def runs(
    where: Annotated[
        str | None, typer.Option(help="Only runs that match, such as 'optimizer.lr < 1e-3'.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Sort by a value, such as Gloss or optimizer.lr.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...", help="Show these values, such as optimizer.lr,seed,lenet_fid."
        ),
    ] = None,
    descending: Annotated[bool, typer.Option("--desc", help="Sort largest value first.")] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", help="Print the last N runs; 0 prints all.", min=0)
    ] = DEFAULT_LIMIT,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """List the runs in the store, oldest first.

    Losses are means over the newest epoch; [bold]dcgan compare[/bold] averages over
    the last 10% of steps instead. A run whose process is gone is shown as
    [red]killed[/red].

    [bold]--where[/bold] takes a Python expression over the values that
    [bold]dcgan show[/bold] prints:

    [bold]--where 'optimizer.lr < 1e-3 and status == "finished" and "baseline" in tags'[/bold]
    """
    from tracking.backends.local import last_values, readable_runs
    from tracking.query import order, require_name, run_names, select
    from tracking.store import no_runs

    records = {
        folder.name: (fields, last_values(folder))
        for folder, fields in readable_runs(store).items()
    }
    if not store.exists() and store != store_dir():  # a mistyped name
        raise no_runs(store)
    selected = sorted(records, key=lambda run: str(records[run][0].get("sys/created")))
    chosen = [name for part in (columns or "").split(",") if (name := part.strip())]
    if where is not None or sort is not None or chosen:
        names = {run: run_names(*records[run]) for run in selected}
        if where is not None:
            selected = select(where, names)
        names = {run: names[run] for run in selected}
        for name in chosen:
            require_name(name, names)
        if sort is not None:
            selected = order(sort, names, descending=descending)
    rows = [_row(run, *records[run]) for run in selected]
    if sort is not None:
        rows = [row | {"sorted_by": names[str(row["run"])].names.get(sort)} for row in rows]
    if chosen:
        rows = [
            row | {"columns": {name: names[str(row["run"])].names.get(name) for name in chosen}}
            for row in rows
        ]
    if as_json:
        print_json(rows)
        return
    console = Console(highlight=False)
    if not rows:
        if records:
            console.print(f"No runs in {store} match.", markup=False)
        else:
            console.print(str(no_runs(store)), markup=False)
        return
    shown = rows[-limit:] if limit else rows
    _print_table(shown, sort, chosen, console)
    if len(shown) < len(rows):
        console.print(
            f"[dim]The last {len(shown):,} of {len(rows):,} runs; --limit 0 prints all.[/dim]"
        )


def show(run: RunReference = "last", as_json: Json = False, store: Store = DEFAULT_STORE) -> None:
    """Show everything recorded about a run: configuration, last values, files."""
    from tracking.backends.local import evaluation_steps, last_values, read_fields
    from tracking.store import find_run

    folder = find_run(store, run)
    fields = {path: value for path, value in read_fields(folder).items() if value is not None}
    values, evaluated = last_values(folder), evaluation_steps(folder)
    if as_json:
        print_json({"fields": fields, "last": values, "evaluation_steps": evaluated})
        return
    console = Console(highlight=False)
    console.print(Text(folder.name, style="bold"), Text(str(fields.get("sys/status"))))
    sections = [("Run", "sys/"), ("Health", f"{HEALTH}/"), ("Configuration", f"{CONFIG}/")]
    for title, prefix in sections:
        if not any(path.startswith(prefix) for path in fields):
            continue
        console.print(f"\n[bold]{title}[/bold]")
        console.print(_value_table(fields, prefix))
    shown_above = ("sys/", f"{CONFIG}/")
    if others := {path: v for path, v in fields.items() if not path.startswith(shown_above)}:
        console.print("\n[bold]Other fields[/bold]")
        console.print(_value_table(others, ""))
    console.print("\n[bold]Last values[/bold]")
    metrics = {path: v for path, v in values.items() if path not in ("step", "time")}
    earlier = {
        path: f"at step {step:,}" for path, step in evaluated.items() if step != values.get("step")
    }
    console.print(_value_table(metrics, "", earlier))
    console.print("\n[bold]Files[/bold]")
    for line in _file_lines(folder):
        console.print(f"  {escape_control_characters(line)}", soft_wrap=True, markup=False)


def _row(run: str, fields: dict[str, Any], last: dict[str, float]) -> dict[str, object]:
    generator_loss, discriminator_loss = last_losses(last)
    return {
        "run": run,
        "name": fields.get("sys/name"),
        "recipe": fields.get("sys/recipe"),
        "status": fields.get("sys/status"),
        "health": rules_that_hold(fields),
        "epochs": _whole(last.get(f"{EPOCH}/number", 0)),
        "epochs_planned": _epochs_planned(fields),
        "steps": _whole(last.get("step", 0)),
        "steps_planned": _whole(fields.get(f"{CONFIG}/training/steps")) or None,
        "g_loss": generator_loss,
        "d_loss": discriminator_loss,
        "created": fields.get("sys/created"),
        "trackers": {
            path.removeprefix(f"{TRACKERS}/"): state
            for path, state in fields.items()
            if path.startswith(TRACKERS) and state is not None
        },
    }


def _epochs_planned(fields: dict[str, Any]) -> int | None:
    """Epochs of the configuration; if it sets steps, the epochs that these take, rounded up."""
    epochs, steps, size, batch_size = (
        value
        if isinstance(value, int) and value > 0
        else None  # an imported run may have any value
        for key in ("training/epochs", "training/steps", "dataset/size", "training/batch_size")
        for value in (fields.get(f"{CONFIG}/{key}"),)
    )
    if steps is None or size is None or batch_size is None:
        return epochs
    batches = _whole(fields.get(f"{CONFIG}/training/discriminator_batches")) or 1
    steps_per_epoch = -(-size // (batch_size * batches))
    return -(-steps // steps_per_epoch)


def _whole(value: object) -> int:
    """A count as an integer; 0 if it is not a finite number."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def _print_table(
    rows: Sequence[dict[str, Any]], sort: str | None, chosen: Sequence[str], console: Console
) -> None:
    """Print the runs, with as many columns as the terminal has room for.

    Args:
        rows: The results of `_row`, with the values of `sort` and `chosen`.
        sort: The name of the value by which they are sorted; None if sorted by age.
        chosen: The names of the values to show; empty for the default columns.
        console: Where to print.
    """
    columns = [Column("run", [Text(row["run"]) for row in rows], is_text=True)]
    if sort is not None and sort not in chosen:
        columns.append(_value_column(sort, [row["sorted_by"] for row in rows]))
    if chosen:
        columns += [_value_column(name, [row["columns"][name] for row in rows]) for name in chosen]
        optional = [escape_control_characters(name) for name in reversed(chosen)]
    else:
        columns += _default_columns(rows)
        optional = ["tracked to", "age", "trained", "D loss", "G loss", "health", "status", "name"]
    fitting_table(columns, console.width, optional=optional).print(console)


def _default_columns(rows: Sequence[dict[str, Any]]) -> list[Column]:
    names = ["" if row["name"] == row["run"] else str(row["name"]) for row in rows]
    columns = [_escaped_column("name", names)] if any(names) else []
    statuses = [Text(str(row["status"]), STATUS_STYLES.get(row["status"], "")) for row in rows]
    columns.append(Column("status", statuses, is_text=True))
    health = [Text(", ".join(row["health"]).replace("_", " "), "yellow") for row in rows]
    if any(row["health"] for row in rows):
        columns.append(text_column("health", health))
    columns.append(Column("trained", list(map(Text, map(_trained, rows)))))
    for heading, key in (("G loss", "g_loss"), ("D loss", "d_loss")):
        losses = ["" if row[key] is None else f"{row[key]:.3f}" for row in rows]
        columns.append(Column(heading, list(map(Text, losses))))
    ages = [duration(time.time() - from_iso8601(row["created"]) / 1000) for row in rows]
    columns.append(Column("age", list(map(Text, ages))))
    trackers = [_tracker_cell(row["trackers"]) for row in rows]
    columns.append(text_column("tracked to", trackers))
    return columns


def _trained(row: dict[str, Any]) -> str:
    """The progress of a run, in the unit in which its length was given."""
    if row["steps_planned"]:
        return f"{row['steps']:,}/{row['steps_planned']:,} steps"
    return f"{row['epochs']}/{row['epochs_planned'] or '?'} epochs"


def _tracker_cell(trackers: dict[str, str]) -> Text:
    remote = [
        Text(escape_control_characters(name), "" if state in ("complete", "open") else "red")
        for name, state in trackers.items()
    ]
    return Text(", ").join([Text("local"), *remote])


def _value_column(name: str, values: Sequence[object]) -> Column:
    """A column of values, aligned as numbers unless one of them is text or a list."""
    shown = [rounded(value, 4) if isinstance(value, float) else _as_text(value) for value in values]
    if all(value is None or isinstance(value, int | float) for value in values):
        return Column(escape_control_characters(name), list(map(Text, shown)))
    return _escaped_column(name, shown)


def _escaped_column(heading: str, texts: Sequence[str]) -> Column:
    cells = [Text(escape_control_characters(text)) for text in texts]
    return text_column(escape_control_characters(heading), cells)


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _value_table(
    values: dict[str, Any], prefix: str, notes: Mapping[str, str] | None = None
) -> Table:
    """A row per value, with its path and, by its path, a note."""
    shown = {
        escape_control_characters(path.removeprefix(prefix)): (
            escape_control_characters(_shown(values[path])),
            (notes or {}).get(path, ""),
        )
        for path in sorted(values)
        if path.startswith(prefix)
    }
    table = Table(box=None, show_header=False, padding=(0, 2))
    longest = max(map(len, shown), default=0)
    table.add_column(width=min(_MAX_NAME_WIDTH, longest), overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    for name, (value, note) in shown.items():
        table.add_row(Text(name, style="dim"), Text(value), Text(note, style="dim"))
    return table


def _shown(value: Any) -> str:
    """A value as it is written after `--set KEY=`, where it is one of a recipe."""
    if isinstance(value, str):
        return value
    return f"{value:.6g}" if isinstance(value, float) else to_text(value)


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
