"""Runs from any mixture of stores as tidy data frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from tracking.backends import load_backend
from tracking.errors import StoreError
from tracking.events import SWEEP, Value
from tracking.query import RunNames, names_of, run_names, select
from tracking.sources import RunSource, resolve_source
from tracking.tables import run_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.comparison import Comparison

BACKEND, PLACE = "/backend", "/place"
"""Columns of `Runs.table`; they cannot clash with fields, whose paths never begin with a slash."""

_THREADS = 4
_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs whose steps are read on demand.

    Attributes:
        table: One row per run, the oldest first, as `tracking.tables.run_table` describes it; the
            columns `/backend` and `/place` say what read it and where.
        sources: Run id -> the store that has the run.
    """

    table: pd.DataFrame
    sources: Mapping[str, RunSource]
    _steps: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    _means: dict[tuple[str, float], dict[str, float | None]] = field(
        default_factory=dict, repr=False
    )
    _last_values: dict[str, Mapping[str, float]] = field(default_factory=dict, repr=False)

    def of_sweep(self, reference: str) -> Runs:
        """The runs of one sweep, by its id or its name; of several with one name, the newest.

        Raises StoreError if there is no such sweep.
        """
        if f"{SWEEP}/id" not in self.table:
            raise StoreError("None of these runs belongs to a sweep.\nStart one with: dcgan sweep")
        ids, names = self.table[f"{SWEEP}/id"], self.table[f"{SWEEP}/name"]
        is_member = ids.eq(reference)
        if not is_member.any():
            named = ids[names.eq(reference)]
            if named.empty:
                newest = ", ".join(map(str, ids.dropna().unique()[-5:]))
                raise StoreError(
                    f"No run here belongs to a sweep {reference!r}. Sweeps here: {newest}."
                )
            is_member = ids.eq(named.iloc[-1])
        return replace(self, table=self.table[is_member])

    def steps(self, run: str) -> pd.DataFrame:
        """One row per step, as `tracking.tables.step_table` describes it; read once and cached."""
        if run not in self._steps:
            source = self.sources[run]
            self._steps[run] = load_backend(source.backend).load_steps(source.location, run)
        return self._steps[run]

    def all_steps(self, ids: Sequence[str] | None = None) -> dict[str, pd.DataFrame]:
        """Run id -> its `steps`, read in parallel. ids: All runs by default."""
        chosen = self._chosen(ids)
        return dict(zip(chosen, _read_in_parallel(self.steps, chosen), strict=True))

    def folder(self, run: str) -> Path | None:
        """The folder of a run's journal; None if the run is read from another store."""
        source = self.sources[run]
        return Path(source.location) / run if source.backend == "local" else None

    def final_means(
        self, metrics: Sequence[str], share: float = 0.1, ids: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """The mean of metrics over the last steps of each run.

        Only the end of a journal is read, once.

        Args:
            metrics: Paths, such as `training/batch/Gloss`.
            share: The share of last steps of each run and metric, 0 to 1; at least one step.
            ids: Ids of the runs; all by default.

        Returns:
            One row per run, one float64 column per metric. NaN and infinities are values: one of
            them makes the mean NaN or infinite. NaN if a run lacks the metric.
        """

        def means(run: str) -> list[float]:
            known = self.tail_means(run, metrics, share)
            return [known.get(path, np.nan) for path in metrics]

        chosen = self._chosen(ids)
        return pd.DataFrame(
            _read_in_parallel(means, chosen), index=chosen, columns=list(metrics), dtype="float64"
        )

    def tail_means(
        self, run: str, metrics: Sequence[str], share: float = 0.1
    ) -> Mapping[str, float]:
        """The mean of metrics over the last steps of one run, without those it has no steps of.

        Args:
            run: Its id.
            metrics: As for `final_means`.
            share: As for `final_means`.
        """
        kept = self._means.setdefault((run, share), {})
        if unread := [path for path in metrics if path not in kept]:
            source = self.sources[run]
            ends = load_backend(source.backend).load_tails(source.location, run, unread, share)
            kept |= dict.fromkeys(unread)
            with np.errstate(invalid="ignore"):  # the mean of opposite infinities is NaN
                kept |= {path: float(ends[path].mean(skipna=False)) for path in ends}
        return {path: mean for path in metrics if (mean := kept[path]) is not None}

    def last_steps(self, run: str, metrics: Sequence[str]) -> Mapping[str, int]:
        """Metric path -> the last step at which the run recorded it; missing metrics left out."""
        source = self.sources[run]
        ends = load_backend(source.backend).load_tails(source.location, run, list(metrics), 0.0)
        return {path: int(values.index[-1]) for path, values in ends.items()}

    def last_values(self, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per run, one float64 column per metric: its last value, NaN if it has none."""
        chosen = self._chosen(ids)
        frame = pd.DataFrame(
            _read_in_parallel(self.last_values_of, chosen), index=chosen, dtype="float64"
        )
        return frame.reindex(columns=sorted(frame.columns))

    def compare(
        self,
        *,
        by: str | Sequence[str] = (),
        metrics: str | Sequence[str] = (),
        baseline: str | None = None,
        anyway: bool = False,
    ) -> Comparison:
        """Compare the runs of each arm with those of the baseline: `comparison.compare`.

        Args:
            by: One or more keys of the configuration that define the arms.
            metrics: One or more metrics; by default FID, precision and recall if evaluated, then
                losses and scores.
            baseline: The label of an arm, or its value; the first arm by default.
            anyway: Compare although the arms differ in more than the factors.

        Raises:
            ComparisonError: The runs form no arms, or cannot be compared as requested.
        """
        from analysis.comparison import compare

        keys, names = ([each] if isinstance(each, str) else each for each in (by, metrics))
        return compare(self, by=keys, metrics=names, baseline=baseline, anyway=anyway)

    def plot_losses(self, comparison: Comparison) -> Figure:
        """The losses of both networks by arm: medians over the seeds, and their spread."""
        from analysis.plots.arm_losses import loss_bands

        steps = self.all_steps([run for arm in comparison.arms for run in arm.runs])
        return loss_bands(comparison.arms, steps).figure

    def report(self, output: str | Path) -> Path:
        """Write a report on these runs: an .html, .md or .pdf file, whose path is returned.

        Raises:
            ComparisonError: The runs form arms, but differ in more than one key.
            OSError: The file cannot be written.
        """
        from analysis.report import compose, format_of, save_report

        path = Path(output).expanduser()
        return save_report(compose(self), path, format_of(path))[0]

    def _chosen(self, ids: Sequence[str] | None) -> pd.Index[str]:
        return pd.Index(self.table.index if ids is None else ids, name="run")

    def last_values_of(self, run: str) -> Mapping[str, float]:
        """Metric path -> its last value in one run, NaN and infinities included; read once."""
        if run not in self._last_values:
            source = self.sources[run]
            self._last_values[run] = load_backend(source.backend).load_last_values(
                source.location, run
            )
        return self._last_values[run]


def load(*sources: str | Path | RunSource, where: str | None = None) -> Runs:
    """Read the runs of stores of any backends.

    A run that is in several stores is read from the first.

    Args:
        sources: Folders, addresses, or values that name their backend, as
            `tracking.sources.resolve_source` takes them.
        where: An expression that selects runs, as for `tracking.query.select`.

    Raises:
        StoreError: A store has no runs.
        ServerError: A server does not answer.
        QueryError: The expression is wrong.
    """
    source_of_run: dict[str, RunSource] = {}
    fields: dict[str, dict[str, Value]] = {}
    for source in map(resolve_source, sources):
        table = load_backend(source.backend).load_runs(source.location)
        if table.empty:
            raise StoreError(
                f"{source.backend} finds no runs of this program in {source.location}."
            )
        for run, row in table.to_dict("index").items():
            if run not in source_of_run:
                source_of_run[str(run)] = source
                fields[str(run)] = {str(k): value for k, value in row.items() if value is not None}
    if where is not None:
        names = _names_for(where, Runs(pd.DataFrame(index=list(fields)), source_of_run), fields)
        fields = {run: fields[run] for run in select(where, names)}
    table = run_table(fields)
    table[BACKEND] = pd.Series({run: source_of_run[run].backend for run in fields}, dtype=object)
    table[PLACE] = pd.Series(
        {run: str(source_of_run[run].location) for run in fields}, dtype=object
    )
    return Runs(table, source_of_run)


def _names_for(
    expression: str, runs: Runs, fields: Mapping[str, Mapping[str, Value]]
) -> dict[str, RunNames]:
    """The names that the expression can use in each run; metrics are read only if needed."""
    wanted = names_of(expression)

    def names(run: str) -> RunNames:
        from_fields = run_names(fields[run], {})
        if wanted <= from_fields.names.keys():
            return from_fields
        return run_names(fields[run], runs.last_values_of(run))

    return dict(zip(fields, _read_in_parallel(names, list(fields)), strict=True))


def _read_in_parallel(
    read: Callable[[str], _Result], runs: Sequence[str] | pd.Index[str]
) -> list[_Result]:
    """Read runs in threads, so that the files of some are read while others are parsed."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read, runs))
