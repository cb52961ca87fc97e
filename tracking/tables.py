"""The two tables as which every store reads back: one row a run, one row a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from tracking.events import Value

Point: TypeAlias = tuple[str, int, int, float]
"""A metric's path, its step, its time in milliseconds since the Unix epoch, its value."""


def run_table(runs: Mapping[str, Mapping[str, Value]]) -> pd.DataFrame:
    """One row a run.

    runs: for each run id its fields by path, such as `config/optimizer/lr`.
    Returns a frame, the oldest run first, indexed by `run`, its columns the sorted paths.
    All are of dtype object, so that an integer stays an integer where another run lacks
    the field; lists stay lists; a field that a run lacks is None.
    """
    ordered = dict(sorted(runs.items(), key=lambda item: str(item[1].get("sys/created"))))
    index = pd.Index(list(ordered), name="run", dtype=object)
    columns = sorted({path for fields in ordered.values() for path in fields})
    cells = {
        path: pd.Series([fields.get(path) for fields in ordered.values()], index, dtype=object)
        for path in columns
    }
    return pd.DataFrame(cells, index=index)


def step_table(run: str, points: Sequence[Point]) -> pd.DataFrame:
    """One row a step, from points in any order; of a point that comes twice the last counts.

    Returns columns `run`, `step`, `time` (UTC; the latest of the step's values), then a
    float64 column for each metric's path, sorted; NaN where a step lacks a value.
    """
    long = pd.DataFrame(points, columns=["path", "step", "time", "value"])
    long = long.drop_duplicates(["path", "step"], keep="last")
    wide = long.pivot(index="step", columns="path", values="value").astype("float64")
    return finish_step_table(run, wide, long.groupby("step")["time"].max())


def tails_of(points: Sequence[Point], paths: Sequence[str], share: float) -> dict[str, pd.Series]:
    """The end of each metric that has points, as `end_of` cuts it; points in any order."""
    series: dict[str, dict[int, float]] = {path: {} for path in paths}
    for path, step, _, value in points:
        if path in series:
            series[path][step] = value
    return {path: tail_of(pd.Series(each), share) for path, each in series.items() if each}


def tail_of(values: pd.Series, share: float) -> pd.Series:
    """The last `share`, 0 to 1, of a metric's own steps, by their numbers; one step at least.

    values: float64 by step, in the order of writing: of a step that comes twice the last counts.
    """
    once = values[~values.index.duplicated(keep="last")]
    return once[once.index >= tail_start(int(once.index.max()), share)].sort_index()


def tail_start(last: int, share: float) -> int:
    """The first of the last `share` of the steps 1 to `last`; at most `last`."""
    return last - max(1, round(share * last)) + 1


def last_values(points: Sequence[Point]) -> dict[str, float]:
    """The value of each metric at its own last step; NaN and infinities are values."""
    newest: dict[str, tuple[int, float]] = {}
    for path, step, _, value in points:
        if path not in newest or step >= newest[path][0]:
            newest[path] = (step, value)
    return {path: value for path, (_, value) in sorted(newest.items())}


def finish_step_table(run: str, wide: pd.DataFrame, times: pd.Series) -> pd.DataFrame:
    """Give a wide frame (one row a step, its index; one column a path) the common form.

    times: milliseconds since the Unix epoch, by step.
    """
    wide = wide.sort_index().reindex(columns=sorted(wide.columns))
    wide.columns.name = None
    steps = pd.Series(wide.index.to_numpy(dtype="int64"), name="step")
    table = wide.reset_index(drop=True)
    table.insert(0, "run", run)
    table.insert(1, "step", steps)
    stamps = pd.to_datetime(times.reindex(steps).to_numpy(dtype="int64"), unit="ms", utc=True)
    table.insert(2, "time", stamps.as_unit("ms"))
    return table
