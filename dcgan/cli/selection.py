"""Options of `compare` and `report` that select and compare runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcgan.cli.options import complete_sweep, several_runs
from tracking.errors import StoreError
from tracking.events import SYS

if TYPE_CHECKING:
    from analysis.runs import Runs

RunReferences = Annotated[
    list[str] | None, several_runs("Ids, starts of ids or names; all runs if omitted.")
]
SweepOption = Annotated[
    str | None,
    typer.Option(
        help="Only the runs of this sweep, by id or name; of several with one name, the newest.",
        autocompletion=complete_sweep,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(help="Only runs that match this expression, as in dcgan runs --where."),
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="SOURCE",
        help="Read runs from here instead of --store: a store, an MLflow address, a Neptune "
        "folder or export; repeatable.",
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY",
        help="Factor to compare by, such as init.scheme; repeatable. By default the sweep's "
        "factors, or the one key in which the runs differ.",
    ),
]
MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Metric to compare, such as Gloss, D_x or nearest_epoch; repeatable. "
        "By default FID, precision and recall if evaluated, then losses and scores.",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE", help="Arm that the others are compared with; the first by default."
    ),
]
Anyway = Annotated[
    bool,
    typer.Option(
        "--anyway",
        help="Compare even if the arms differ in more than the factor, or were evaluated "
        "differently.",
    ),
]


@dataclass(frozen=True)
class Selection:
    """The runs that a user asked for.

    Attributes:
        store: The store to read if there are no `sources`.
        references: Ids, starts of ids or names; empty for all runs.
        sweep: The id or the name of a sweep; None for runs of any sweep or none.
        where: An expression that the runs match.
        sources: Stores and addresses to read, in this order.
    """

    store: Path
    references: Sequence[str] = ()
    sweep: str | None = None
    where: str | None = None
    sources: Sequence[str] = ()


def select_runs(selection: Selection) -> Runs:
    """Load the selected runs; raises StoreError if there are none."""
    from analysis import load
    from tracking.store import choose_run

    sources = selection.sources or [str(selection.store)]
    runs = load(*sources, where=selection.where)
    if selection.sweep is not None:
        runs = runs.of_sweep(selection.sweep)
    table = runs.table
    if selection.references:
        names = {str(run): str(name) for run, name in table[f"{SYS}/name"].items()}
        where = ", ".join(sources)
        chosen = {choose_run(reference, names, where) for reference in selection.references}
        table = table.loc[[run for run in table.index if run in chosen]]
    if table.empty:
        raise StoreError("No runs match.\nList the runs with: dcgan runs")
    return replace(runs, table=table)
