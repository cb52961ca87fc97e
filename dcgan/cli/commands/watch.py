"""`dcgan watch`."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from dcgan.cli.format import duration, escape_control_characters
from dcgan.cli.options import DEFAULT_STORE, RunReference, Store
from tracking.events import BATCH, EPOCH, FIXED_NOISE
from tracking.fields import from_iso8601

if TYPE_CHECKING:
    import pandas as pd

_PANELS = (
    ("loss", (("Gloss", "G", "blue"), ("Dloss", "D", "red"))),
    ("D's output", (("D_x", "D(x)", "green"), ("D_G_z1", "D(G(z))", "magenta"))),
)
_LINES_AROUND = 4
_MAX_WIDTH = 120
_MIN_HEIGHT, _MAX_HEIGHT = 8, 18
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
    from tracking.backends.local import last_values, read_fields, read_steps
    from tracking.run_files import image_files

    fields, last = read_fields(folder), last_values(folder)
    steps = read_steps(folder)
    lines = [Text(folder.name, style="bold"), Text(f"  {fields.get('sys/status')}")]
    age = duration(time.time() - from_iso8601(str(fields["sys/created"])) / 1000)
    epoch = f", epoch {last[f'{EPOCH}/number']:.0f}" if f"{EPOCH}/number" in last else ""
    lines.append(Text(f"  step {last.get('step', 0):,.0f}{epoch}, started {age} ago"))
    parts: list[Text] = [Text.assemble(*lines)]
    height = (console.height - _LINES_AROUND) // len(_PANELS)
    size = (min(console.width, _MAX_WIDTH), min(max(height, _MIN_HEIGHT), _MAX_HEIGHT))
    parts += [_panel(steps, title, curves, size) for title, curves in _PANELS]
    if grids := list(image_files(folder, FIXED_NOISE).values()):
        parts.append(Text(f"last grid  {escape_control_characters(grids[-1])}", overflow="fold"))
    return Group(*parts)


def _panel(
    steps: pd.DataFrame, title: str, curves: tuple[tuple[str, str, str], ...], size: tuple[int, int]
) -> Text:
    """Curves of epoch means; of batches as long as fewer than two epochs are complete."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(*size)
    prefix, unit = (EPOCH, "epoch means") if _has_epochs(steps) else (BATCH, "batches")
    has_points = False
    for metric, name, color in curves:
        path = f"{prefix}/{metric}"
        points = _points(steps.set_index("step")[path], size[0]) if path in steps else []
        if points:
            xs, ys = zip(*points, strict=True)
            plotext.plot(list(xs), list(ys), label=name, color=color, marker="braille")
            has_points = True
    if not has_points:
        return Text(f"\n{title}: nothing measured yet\n", style="dim")
    plotext.title(f"{title} ({unit}) by step")
    first, last = int(steps["step"].min()), int(steps["step"].max())
    ticks = [first + (last - first) * quarter // 4 for quarter in range(5)]
    plotext.xticks(ticks, [f"{tick:,}" for tick in ticks])
    return Text.from_ansi(plotext.build())


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
