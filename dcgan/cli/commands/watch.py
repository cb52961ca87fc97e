"""`dcgan watch`."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import duration, escape_control_characters
from dcgan.cli.options import DEFAULT_STORE, RunReference, Store
from dcgan.cli.terminal_picture import can_show_pictures, grid_picture
from tracking.events import BATCH, EPOCH, FIXED_NOISE
from tracking.fields import from_iso8601

if TYPE_CHECKING:
    import pandas as pd

_PANELS = (
    ("loss", (("Gloss", "G", "blue"), ("Dloss", "D", "red"))),
    ("D's output", (("D_x", "D(x)", "green"), ("D_G_z1", "D(G(z))", "magenta"))),
)
_CURSOR_LINES = 1
"""Below the frame, or the terminal would scroll."""
_MAX_WIDTH, _PICTURE_SHARE, _GAP = 120, 0.4, 2
_MOST_TICKS = 4
_MIN_HEIGHT, _MAX_HEIGHT = 9, 19
"""Of a panel, in lines."""


def watch(
    run: RunReference = "last",
    every: Annotated[
        float, typer.Option(help="Seconds between updates.", min=0.2, metavar="SECONDS")
    ] = 2.0,
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
        console.print(_frame(folder, console))
        return
    with Live(console=console, auto_refresh=False, screen=False) as live:
        try:
            while True:
                live.update(_frame(folder, console), refresh=True)
                if _status(folder) != "running":
                    return
                time.sleep(every)
        except KeyboardInterrupt:
            return


def _frame(folder: Path, console: Console) -> Group:
    from analysis.image_grids import IMAGE_SIZE, image_sides
    from tracking.backends.local import last_values, read_fields, read_steps
    from tracking.run_files import image_files

    fields, last = read_fields(folder), last_values(folder)
    steps = read_steps(folder)
    lines = [Text(folder.name, style="bold"), Text(f"  {fields.get('sys/status')}")]
    age = duration(time.time() - from_iso8601(str(fields["sys/created"])) / 1000)
    epoch = f", epoch {last[f'{EPOCH}/number']:.0f}" if f"{EPOCH}/number" in last else ""
    lines.append(Text(f"  step {last.get('step', 0):,.0f}{epoch}, started {age} ago"))
    heading, footing = Text.assemble(*lines), Text()
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
    if grids and sides is not None and can_show_pictures(console):
        room = (int(_PICTURE_SHARE * width), len(shown) * height)
        picture = grid_picture(grids[-1], sides, *room)
    if picture is not None:
        width -= picture.wrap(console, console.width)[0].cell_len + _GAP
    panels = Group(*(_panel(steps, title, curves, (width, height)) for title, curves in shown))
    body: RenderableType = panels
    if picture is not None:
        beside = Table.grid(padding=(0, _GAP, 0, 0))
        beside.add_row(panels, picture)
        body = beside
    return Group(heading, body, *([footing] if grids else []))


def _panel(
    steps: pd.DataFrame, title: str, curves: tuple[tuple[str, str, str], ...], size: tuple[int, int]
) -> Text:
    """Curves of epoch means; of batches as long as fewer than two epochs are complete."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    width, height = size
    plotext.plotsize(width, height - 2)  # without the heading and the line below
    prefix, unit = (EPOCH, "epoch means") if _has_epochs(steps) else (BATCH, "batches")
    heading = Text(f"{title} ({unit})", no_wrap=True, overflow="ellipsis")
    heights: list[float] = []
    for metric, name, color in curves:
        path = f"{prefix}/{metric}"
        points = _points(steps.set_index("step")[path], width) if path in steps else []
        if points:
            xs, ys = zip(*points, strict=True)
            plotext.plot(list(xs), list(ys), color=color, marker="braille")
            heights += ys
            heading.append(f"  \N{BOX DRAWINGS HEAVY HORIZONTAL} {name}", color)
    if not heights:
        return Text(f"\n{title}: nothing measured yet\n", style="dim")
    ends = (float(steps["step"].min()), float(steps["step"].max()))
    ticks = _round_ticks(ends, whole=True)
    plotext.xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ticks = _round_ticks((min(heights), max(heights)), whole=False)
    plotext.yticks(ticks, [f"{tick:g}" for tick in ticks])
    heading.append("  by step\n")
    return heading.append_text(Text.from_ansi(plotext.build()))


def _round_ticks(ends: tuple[float, float], *, whole: bool) -> list[float]:
    """A few round numbers between two ends, or the ends if there are none."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=_MOST_TICKS, integer=whole).tick_values(*ends)
    return [round(float(t), 12) for t in ticks if ends[0] <= t <= ends[1]] or sorted(set(ends))


def _has_epochs(steps: pd.DataFrame) -> bool:
    path = f"{EPOCH}/number"
    return path in steps and int(steps[path].notna().sum()) > 1


def _points(values: pd.Series, width: int) -> list[tuple[int, float]]:
    """Points (step, value), downsampled to what a terminal can show; extremes are kept."""
    from tsdownsample import MinMaxDownsampler

    finite = values[values.map(math.isfinite)]
    if len(finite) > 4 * width:
        positions = MinMaxDownsampler().downsample(finite.to_numpy("float64"), n_out=4 * width)
        finite = finite.iloc[positions]
    return list(zip(finite.index.tolist(), finite.tolist(), strict=True))


def _status(folder: Path) -> str:
    from tracking.backends.local import read_fields

    return str(read_fields(folder).get("sys/status"))
