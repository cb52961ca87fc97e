"""Runs of any stores, as tidy frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tracking.backends import load_backend
from tracking.backends.local import last_values, read_fields
from tracking.query import known, select


@dataclass(frozen=True, eq=False)
class Runs:
    """table: one row a run, as `tracking.tables.run_table` has it."""

    table: pd.DataFrame
    stores: dict[str, Path]
    _steps: dict[str, pd.DataFrame] = field(default_factory=dict)

    def steps(self, run: str) -> pd.DataFrame:
        if run not in self._steps:
            self._steps[run] = load_backend("local").load_steps(self.stores[run], run)
        return self._steps[run]

    def folder(self, run: str) -> Path | None:
        return self.stores[run] / run

    def final_means(self, metrics: Sequence[str], share: float, ids: Sequence[str]) -> pd.DataFrame:
        rows = {}
        for run in ids:
            steps = self.steps(run)
            first = steps["step"].max() - max(1, round(share * steps["step"].max()))
            window = steps[steps["step"] > first]
            rows[run] = {
                metric: window[metric].mean(skipna=False) for metric in metrics if metric in window
            }
        return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=list(metrics))

    def last_values(self, ids: Sequence[str]) -> pd.DataFrame:
        rows = {run: last_values(self.stores[run] / run) for run in ids}
        frame = pd.DataFrame.from_dict(rows, orient="index")
        return frame.drop(columns=["step", "time"], errors="ignore")


def load(*places: str | Path, where: str | None = None) -> Runs:
    tables: list[pd.DataFrame] = []
    stores: dict[str, Path] = {}
    for place in map(Path, places):
        table = load_backend("local").load_runs(place)
        tables.append(table)
        stores |= {str(run): place for run in table.index}
    table = pd.concat(tables)
    if where is not None:
        names = {
            run: known(read_fields(stores[run] / run), last_values(stores[run] / run))
            for run in map(str, table.index)
        }
        table = table.loc[select(where, names)]
    return Runs(table, stores)
