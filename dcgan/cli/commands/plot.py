"""`dcgan plot`: the curves and grids of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dcgan.cli.options import (
    DEFAULT_STORE,
    RunReference,
    Store,
)
from tracking.errors import StoreError


def plot(
    run: RunReference = "last",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A folder; the run's own 'plots' by default."),
    ] = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Draw a run: losses apart and overlapping, scores, the grids over time, real beside fake."""
    from analysis.plots.run import save_run_plots
    from tracking.store import find_run

    folder = find_run(store, run)
    console = Console(highlight=False)
    try:
        saved = save_run_plots(folder, output or folder / "plots")
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be written: {error.strerror}.") from error
    for path in saved:
        console.print(str(path), soft_wrap=True)
