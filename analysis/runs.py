"""Runs of any stores, mixed at will, as tidy frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from tracking.backends import load_backend
from tracking.backends.local import last_values, read_last_steps
from tracking.events import Value
from tracking.places import Place, find_place
from tracking.query import known, select
from tracking.tables import run_table

_THREADS = 4
_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs whose steps are read when they are asked for.

    table: one row a run, the oldest first, as `tracking.tables.run_table` describes it.
    places: run id -> where it was found.
    """

    table: pd.DataFrame
    places: Mapping[str, Place]
    _steps: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    def steps(self, run: str) -> pd.DataFrame:
        """One row a step, as `tracking.tables.step_table` describes it; kept once it is read."""
        if run not in self._steps:
            place = self.places[run]
            self._steps[run] = load_backend(place.backend).load_steps(place.at, run)
        return self._steps[run]

    def folder(self, run: str) -> Path | None:
        """The folder of a run's journal; None for a run that is read from another store."""
        place = self.places[run]
        return Path(place.at) / run if place.backend == "local" else None

    def final_means(
        self, metrics: Sequence[str], share: float, ids: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """One row a run, a column a metric: its mean over the last steps, one at least.

        metrics: paths, such as `training/batch/Gloss`. share: of the run's own steps, 0 to 1.
        ids: of the runs, all by default. NaN and infinities are values: the mean is NaN or
        infinite where one is in it, and NaN where a run lacks the metric. Of a journal only
        the end is read.
        """

        def means(run: str) -> list[float]:
            window = self._last_steps(run, share).reindex(columns=list(metrics))
            measured = window.dropna(how="all").to_numpy(np.float64)
            if not len(measured):
                return [np.nan] * len(metrics)
            with np.errstate(invalid="ignore"):  # of two infinities
                found: list[float] = measured.mean(axis=0).tolist()
            return found

        chosen = self._chosen(ids)
        return pd.DataFrame(_each(means, chosen), index=chosen, columns=list(metrics))

    def last_values(self, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a run, a column a metric: the newest value; NaN where a run lacks it."""
        chosen = self._chosen(ids)
        frame = pd.DataFrame(_each(self._newest, chosen), index=chosen, dtype="float64")
        return frame.reindex(columns=sorted(frame.columns))

    def _chosen(self, ids: Sequence[str] | None) -> pd.Index[str]:
        return pd.Index(self.table.index if ids is None else ids, name="run")

    def _last_steps(self, run: str, share: float) -> pd.DataFrame:
        if run not in self._steps and (folder := self.folder(run)) is not None:
            return read_last_steps(folder, share)
        steps = self.steps(run)
        last = steps["step"].max() if len(steps) else 0
        return steps[steps["step"] > last - max(1, round(share * last))]

    def _newest(self, run: str) -> dict[str, float]:
        if (folder := self.folder(run)) is not None:
            newest = last_values(folder)
        else:
            steps = self.steps(run).drop(columns=["run", "time"]).ffill()
            newest = {str(k): float(v) for k, v in steps.iloc[-1].items()} if len(steps) else {}
        return {path: value for path, value in newest.items() if path not in ("step", "time")}


def load(*places: str | Path | Place, where: str | None = None) -> Runs:
    """Read the runs of stores, of whatever backends.

    places: folders and addresses, as `tracking.places.find_place` takes them, or what reads
    them said outright. A run that several hold is read from the first. where: only runs for
    which this holds, as `tracking.query.select` has it.
    Raises StoreError where a place holds no runs, QueryError for a wrong expression.
    """
    found: dict[str, Place] = {}
    fields: dict[str, dict[str, Value]] = {}
    for place in (each if isinstance(each, Place) else find_place(each) for each in places):
        table = load_backend(place.backend).load_runs(place.at)
        for run, row in table.to_dict("index").items():
            if run not in found:
                found[str(run)] = place
                fields[str(run)] = {str(k): value for k, value in row.items() if value is not None}
    runs = Runs(run_table(fields), found)
    if where is None:
        return runs
    names = dict(zip(fields, _each(runs._newest, list(fields)), strict=True))
    chosen = select(where, {run: known(fields[run], names[run]) for run in fields})
    return Runs(runs.table.loc[[run for run in runs.table.index if run in chosen]], found)


def _each(read: Callable[[str], _Result], runs: Sequence[str] | pd.Index[str]) -> list[_Result]:
    """Files are read while others are parsed."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read, runs))
