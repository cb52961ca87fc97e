"""The tables of runs in a report."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.comparison.compare import Comparison
from analysis.comparison.failures import TrainingOutcome
from analysis.comparison.tables import Table, align_decimals, factor_header, short_label
from tracking.events import SYS
from tracking.fields import to_text

_OUTCOMES = {"whole": "no failure"}
"""Outcome as it is stored -> as a reader sees it."""


def runs_of(comparison: Comparison) -> Table:
    """A table of every run with its arm, outcome, seed and values."""
    names = [measure.name for measure in comparison.measures]
    numbers = zip(*(align_decimals(list(comparison.runs[name])) for name in names), strict=True)
    rows = (
        (
            str(run),
            short_label(comparison, row["arm"]),
            _OUTCOMES.get(row["outcome"], row["outcome"]),
            f"{row['seed']}",
            *cells,
        )
        for run, row, cells in zip(
            comparison.runs.index, comparison.runs.to_dict("records"), numbers, strict=True
        )
    )
    words = (measure.words for measure in comparison.measures)
    columns = ("run", factor_header(comparison), "outcome", "seed", *words)
    return Table("Runs that were compared", columns, tuple(rows), texts=3)


def runs_alone(
    table: pd.DataFrame, outcomes: Sequence[TrainingOutcome], last_values: pd.DataFrame
) -> Table:
    """A table of every run with its status, outcome and last values.

    Args:
        table: One row per run, `tracking.tables.run_table`.
        outcomes: One per run.
        last_values: One row per run, one column per metric: its last value.
    """
    metrics = [path for path in last_values.columns if last_values[path].notna().any()]
    rows = []
    numbers = {path: align_decimals(list(last_values.loc[table.index, path])) for path in metrics}
    for index, ((run, fields), outcome) in enumerate(
        zip(table.to_dict("index").items(), outcomes, strict=True)
    ):
        labels = (fields.get(f"{SYS}/{key}") for key in ("recipe", "status"))
        rows.append(
            (
                str(run),
                *("" if label is None else str(label) for label in labels),
                _OUTCOMES.get(outcome, outcome),
                to_text(fields.get(f"{SYS}/seed")),
                *(numbers[path][index] for path in metrics),
            )
        )
    columns = ("run", "recipe", "status", "outcome", "seed")
    names = (path.rpartition("/")[2] for path in metrics)
    return Table("Newest value of each per-batch metric", (*columns, *names), tuple(rows), texts=4)
