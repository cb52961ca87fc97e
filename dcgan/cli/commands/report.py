"""`dcgan report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from dcgan.cli.format import size
from dcgan.cli.options import DEFAULT_STORE, Store
from dcgan.cli.selection import (
    Anyway,
    Baseline,
    By,
    MetricsOption,
    Places,
    RunReferences,
    Selection,
    SweepOption,
    Where,
    select_runs,
)


def report(
    runs: RunReferences = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file to write: .html, .md or .pdf.")
    ] = Path("report.html"),
    format: Annotated[
        Literal["html", "md", "pdf"] | None,
        typer.Option(help="By the end of the file's name if it is not given.", show_default=False),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write every figure there too: PNG, SVG, its numbers as CSV."
        ),
    ] = None,
    by: By = None,
    metric: MetricsOption = None,
    sweep: SweepOption = None,
    where: Where = None,
    baseline: Baseline = None,
    anyway: Anyway = False,
    places: Places = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Write down what a comparison found: the answer, figures, images, and all it rests on.

    The page needs no network and no other file. Markdown has its figures in a
    folder beside it. Of one run, or of runs that are no two arms, the report
    shows curves and images and claims nothing.

    [dim]dcgan report --sweep weight-init -o weight-init.html
    dcgan report last -o last.pdf[/dim]
    """
    from analysis.report import compose, format_of, save_report
    from tracking.provenance import command_line

    chosen = format or format_of(output)
    selected = select_runs(Selection(store, runs or (), sweep, where, places or ()))
    content = compose(
        selected,
        by=by or (),
        metrics=metric or (),
        baseline=baseline,
        anyway=anyway,
        command=command_line(sys.argv),
    )
    console = Console(highlight=False)
    written = save_report(content, output, chosen, figures)
    console.print(f"{written[0]} ({size(written[0].stat().st_size)})", soft_wrap=True, markup=False)
    for folder in dict.fromkeys(file.parent for file in written[1:]):
        console.print(f"The figures are in {folder}", soft_wrap=True, markup=False)
