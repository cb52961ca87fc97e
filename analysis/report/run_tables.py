"""The tables of runs in a report."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.comparison.compare import Comparison
from analysis.comparison.failures import TrainingOutcome
from analysis.comparison.tables import Table, factor_header, format_number, short_label
from tracking.events import SYS
from tracking.fields import to_text


def runs_of(comparison: Comparison) -> Table:
    """One row per run of a comparison: arm, seed, ending and values."""
    names = [each.name for each in comparison.measures]
    rows = (
        (
            str(run),
            short_label(comparison, row["arm"]),
            row["ending"],
            f"{row['seed']}",
            *(format_number(row[name]) for name in names),
        )
        for run, row in zip(comparison.runs.index, comparison.runs.to_dict("records"), strict=True)
    )
    words = (each.words for each in comparison.measures)
    columns = ("run", factor_header(comparison), "ending", "seed", *words)
    return Table("Runs that were compared", columns, tuple(rows), texts=3)


def runs_alone(
    table: pd.DataFrame, endings: Sequence[TrainingOutcome], last: pd.DataFrame
) -> Table:
    """One row per run, for runs that are not compared.

    Args:
        table: One row per run, as `tracking.tables.run_table` describes it.
        endings: How each run ended, in the order of the rows.
        last: The newest value of each metric, one row per run.
    """
    metrics = [path for path in last.columns if last[path].notna().any()]
    rows = []
    newest = last.to_dict("index")
    for (run, fields), ending in zip(table.to_dict("index").items(), endings, strict=True):
        told = (fields.get(f"{SYS}/{key}") for key in ("recipe", "status"))
        rows.append(
            (
                str(run),
                *("" if each is None else str(each) for each in told),
                ending,
                to_text(fields.get(f"{SYS}/seed")),
                *(format_number(newest[run][path]) for path in metrics),
            )
        )
    columns = ("run", "recipe", "status", "ending", "seed")
    names = (path.rpartition("/")[2] for path in metrics)
    return Table("Newest values of the batches", (*columns, *names), tuple(rows), texts=4)
