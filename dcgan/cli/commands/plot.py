"""`dcgan plot`: the curves and image grids of one run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dcgan.cli.options import RunReference, Store
from dcgan.cli.output_file import check_output_folder
from dcgan.run_folder import PLOTS_DIR
from dcgan.store_dir import DEFAULT_STORE
from tracking.errors import StoreError, not_written


def plot(
    run: RunReference = "last",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the plots; 'plots' in the run's folder by default.",
            callback=check_output_folder,
        ),
    ] = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Plot a run: losses, scores, image grids over time, and real beside fake images."""
    from analysis.plots.run import save_run_plots
    from tracking.run_files import check_no_link
    from tracking.store import find_run

    folder = find_run(store, run)
    console = Console(highlight=False)
    plots_folder = output or check_no_link(folder, Path(PLOTS_DIR))
    if output is None and not os.access(folder, os.W_OK):
        raise StoreError(
            f"{plots_folder} cannot be written: there is no permission.\n"
            "Choose another folder with -o."
        )
    try:
        plots = save_run_plots(folder, plots_folder)
    except OSError as error:
        raise not_written(plots_folder, error) from error
    for path in plots:
        console.print(str(path), soft_wrap=True, markup=False)
