"""`dcgan report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from dcgan.cli.format import size
from dcgan.cli.options import Store
from dcgan.cli.output_file import check_output_file, check_output_folder
from dcgan.cli.selection import (
    Anyway,
    Baseline,
    By,
    MetricsOption,
    RunReferences,
    Selection,
    Sources,
    SweepOption,
    Where,
    select_runs,
)
from dcgan.report_images import images_of_single_run
from dcgan.store_dir import DEFAULT_STORE


def report(
    runs: RunReferences = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="File to write: .html, .md or .pdf.",
            callback=check_output_file,
        ),
    ] = Path("report.html"),
    format: Annotated[
        Literal["html", "md", "pdf"] | None,
        typer.Option(help="Format; by default that of the file name.", show_default=False),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also write every figure to this folder: PNG, SVG, PDF, its numbers as CSV.",
            callback=check_output_folder,
        ),
    ] = None,
    by: By = None,
    metric: MetricsOption = None,
    sweep: SweepOption = None,
    where: Where = None,
    baseline: Baseline = None,
    anyway: Anyway = False,
    sources: Sources = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Write a report on runs: results, figures, images, and the configuration behind them.

    An HTML or PDF report is one file that needs no network; a Markdown report
    has its figures in a folder next to it. For a single run, or runs that do not
    form two arms, it shows curves and images and draws no conclusion. For a
    single run with checkpoints it also shows what the generator makes.

    [dim]dcgan report --sweep weight-init -o weight-init.html
    dcgan report last -o last.pdf[/dim]
    """
    from analysis.report import compose, format_of, save_report
    from tracking.provenance import command_line

    report_format = format or format_of(output)
    selected = select_runs(Selection(store, runs or (), sweep, where, sources or ()))
    content = compose(
        selected,
        by=by or (),
        metrics=metric or (),
        baseline=baseline,
        anyway=anyway,
        command=command_line(sys.argv),
        generated=images_of_single_run(selected),
    )
    console = Console(highlight=False)
    report_file, *figure_files = save_report(content, output, report_format, figures)
    report_size = size(report_file.stat().st_size)
    console.print(f"{report_file} ({report_size})", soft_wrap=True, markup=False)
    for folder in dict.fromkeys(file.parent for file in figure_files):
        console.print(f"Figures: {folder}", soft_wrap=True, markup=False)
