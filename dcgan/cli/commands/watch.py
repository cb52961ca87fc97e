"""`dcgan watch`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcgan.cli.curve_panel import curve_panel
from dcgan.cli.format import duration, escape_control_characters
from dcgan.cli.health_lines import health_line, rules_that_hold
from dcgan.cli.options import RunReference, Store
from dcgan.cli.terminal_picture import Pictures, drawing_of, grid_picture
from dcgan.store_dir import DEFAULT_STORE
from tracking.events import EPOCH, FIXED_NOISE
from tracking.fields import from_iso8601

_PANELS = (
    ("loss", (("Gloss", "G", "blue"), ("Dloss", "D", "red"))),
    ("D's output", (("D_x", "D(x)", "green"), ("D_G_z1", "D(G(z))", "magenta"))),
)
_CURSOR_LINES = 1
"""Lines left free below the frame; otherwise the terminal would scroll."""
_MAX_WIDTH, _PICTURE_SHARE, _GAP = 120, 0.4, 2
_MIN_HEIGHT, _MAX_HEIGHT = 9, 19
"""Height of a panel, in lines."""


def watch(
    run: RunReference = "last",
    every: Annotated[
        float, typer.Option(help="Seconds between updates.", min=0.2, metavar="SECONDS")
    ] = 2.0,
    pictures: Pictures = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Watch a run in the terminal: its curves and last image grid, until it ends or Ctrl-C.

    It only reads the journal, so it neither slows nor stops the training, and
    works on any machine that can read the store.
    """
    from tracking.store import find_run

    folder = find_run(store, run)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.print(_frame(folder, console, pictures))
        return
    with Live(console=console, auto_refresh=False, screen=False) as live:
        try:
            while True:
                # Read before the frame is drawn: the last frame says how the run ended.
                has_ended = _status(folder) != "running"
                live.update(_frame(folder, console, pictures), refresh=True)
                if has_ended:
                    return
                time.sleep(every)
        except KeyboardInterrupt:
            return


def _frame(folder: Path, console: Console, pictures: str = "auto") -> Group:
    from diagnosis.image_grids import IMAGE_SIZE, image_sides
    from tracking.backends.local import last_values, read_fields, read_steps
    from tracking.run_files import image_files

    fields, last = read_fields(folder), last_values(folder)
    steps = read_steps(folder)
    lines = [Text(folder.name, style="bold"), Text(f"  {fields.get('sys/status')}")]
    age = duration(time.time() - from_iso8601(str(fields["sys/created"])) / 1000)
    epoch = f", epoch {last[f'{EPOCH}/number']:.0f}" if f"{EPOCH}/number" in last else ""
    lines.append(Text(f"  step {last.get('step', 0):,.0f}{epoch}, started {age} ago"))
    heading, footing = Text.assemble(*lines), Text()
    for rule in rules_that_hold(fields):
        heading.append(f"\n{escape_control_characters(health_line(rule, fields))}", "yellow")
    grids = list(image_files(folder, FIXED_NOISE).values())
    if grids:
        footing = Text(f"last grid  {escape_control_characters(grids[-1])}", overflow="fold")
    taken = sum(len(text.wrap(console, console.width)) for text in (heading, footing) if text)
    free = console.height - taken - _CURSOR_LINES
    shown = _PANELS[: free // _MIN_HEIGHT]
    if not shown:
        return Group(heading, *([footing] if grids else []))
    height = min(free // len(shown), _MAX_HEIGHT)
    width = min(console.width, _MAX_WIDTH)
    picture = None
    sides = image_sides(fields.get(IMAGE_SIZE))
    drawing = drawing_of(console, pictures)
    if grids and sides is not None and drawing is not None:
        room = (int(_PICTURE_SHARE * width), len(shown) * height)
        picture = grid_picture(grids[-1], sides, room, drawing)
    if picture is not None:
        width -= console.measure(picture).maximum + _GAP
    panels = Group(*(curve_panel(steps, title, curves, (width, height)) for title, curves in shown))
    body: RenderableType = panels
    if picture is not None:
        beside = Table.grid(padding=(0, _GAP, 0, 0))
        beside.add_row(panels, picture)
        body = beside
    return Group(heading, body, *([footing] if grids else []))


def _status(folder: Path) -> str:
    from tracking.backends.local import read_fields

    return str(read_fields(folder).get("sys/status"))
