"""The runs that a comparison is about, chosen the same way by every command that compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcgan.cli.options import known_runs
from tracking.errors import StoreError
from tracking.events import SWEEP, SYS

if TYPE_CHECKING:
    import pandas as pd

    from analysis.runs import Runs

RunReferences = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN]...",
        help="Ids, starts of ids or names; all runs where none is given.",
        autocompletion=known_runs,
        show_default=False,
    ),
]
SweepOption = Annotated[
    str | None, typer.Option(help="Only the runs of a sweep: its id, or the newest of its name.")
]
Where = Annotated[
    str | None, typer.Option(help="Only runs for which this holds, as in dcgan runs --where.")
]
Places = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="PLACE",
        help="Stores, MLflow addresses, Neptune folders or exports; in place of --store.",
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY", help="The factor, such as init.scheme; found by itself if it can be."
    ),
]
MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Such as Gloss, D_x, nearest_epoch; repeatable. Losses and scores by default.",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="VALUE", help="The arm that the others are held against; the first."),
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Compare although arms differ in more than the factor.")
]


@dataclass(frozen=True)
class Selection:
    """Which runs a user named. places: in order; empty for the store alone."""

    store: Path
    references: Sequence[str] = ()
    sweep: str | None = None
    where: str | None = None
    places: Sequence[str] = ()


def select_runs(selection: Selection) -> Runs:
    """Load the runs that a user named. Raises StoreError where there are none."""
    from analysis import load
    from tracking.store import choose_run

    runs = load(*(selection.places or [str(selection.store)]), where=selection.where)
    table = runs.table
    if selection.sweep is not None:
        table = _of_sweep(table, selection.sweep)
    if selection.references:
        names = {str(run): str(name) for run, name in table[f"{SYS}/name"].items()}
        places = ", ".join(selection.places) or str(selection.store)
        found = {choose_run(each, names, places) for each in selection.references}
        table = table.loc[[run for run in table.index if run in found]]
    if table.empty:
        raise StoreError("No run is left to compare.\nSee what there is with: dcgan runs")
    return replace(runs, table=table)


def _of_sweep(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    if f"{SWEEP}/id" not in table:
        raise StoreError("None of these runs is part of a sweep.\nStart one with: dcgan sweep")
    ids, names = table[f"{SWEEP}/id"], table[f"{SWEEP}/name"]
    if not (same := table[ids.eq(reference)]).empty:
        return same
    if (named := table[names.eq(reference)]).empty:
        known = ", ".join(map(str, ids.dropna().unique()[-5:]))
        raise StoreError(f"There is no run of a sweep {reference!r} here. Sweeps here: {known}.")
    return table[ids.eq(named[f"{SWEEP}/id"].iloc[-1])]
