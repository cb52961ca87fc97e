"""The two tables in which every store returns its runs: one row per run, one row per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from tracking.events import Value
from tracking.metric_keys import metric_key

Point: TypeAlias = tuple[str, int, int, float]
"""A metric's path, its step, its time in milliseconds since the Unix epoch, its value."""


def run_table(runs: Mapping[str, Mapping[str, Value]]) -> pd.DataFrame:
    """One row per run.

    `runs` maps each run's id to its fields by path, such as `config/optimizer/lr`. The table is
    indexed by `run`, the oldest run first; its columns are the sorted paths. All columns have
    dtype object, so that an integer stays an integer if another run lacks the field. Lists stay
    lists; a field that a run lacks is None.
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
    """One row per step, from points in any order; of points with the same step the latest counts.

    The columns are `run`, `step`, `time` (UTC; the latest of the step's values), then one float64
    column per metric, named by `tracking.metric_keys.metric_key` and sorted; NaN where a step lacks
    a value.
    """
    long = pd.DataFrame(points, columns=["path", "step", "time", "value"])
    long = long.sort_values("time", kind="stable").drop_duplicates(["path", "step"], keep="last")
    wide = long.pivot(index="step", columns="path", values="value").astype("float64")
    wide = wide.rename(columns=metric_key)
    return finish_step_table(run, wide, long.groupby("step")["time"].max())


def tails_of(
    points: Sequence[Point], paths: Sequence[str], fraction: float
) -> dict[str, pd.Series]:
    """The last values of each metric that has any, as `tail_of` cuts them.

    Args:
        points: The values of a run's metrics, in any order.
        paths: The paths of the metrics.
        fraction: The fraction of each metric's own steps, 0 to 1; at least one step.

    Returns:
        Each metric's values by path, float64, indexed by step.
    """
    series: dict[str, dict[int, float]] = {path: {} for path in paths}
    for path, step, _, value in sorted(points, key=_time):
        if path in series:
            series[path][step] = value
    return {path: tail_of(pd.Series(values), fraction) for path, values in series.items() if values}


def tail_of(values: pd.Series, fraction: float) -> pd.Series:
    """The last `fraction`, 0 to 1, of a metric's own steps, by their numbers; at least one step.

    `values` is float64, indexed by step, in the order of writing; of values with the same step
    the last counts.
    """
    unique = values[~values.index.duplicated(keep="last")]
    return unique[unique.index >= tail_start(int(unique.index.max()), fraction)].sort_index()


def tail_start(last: int, fraction: float) -> int:
    """The first step of the last `fraction`, 0 to 1, of the steps 1 to `last`; at most `last`."""
    return last - max(1, round(fraction * last)) + 1


def last_values(points: Sequence[Point]) -> dict[str, float]:
    """The value of each metric at its own last step; NaN and infinities are values."""
    newest: dict[str, tuple[int, float]] = {}
    for path, step, _, value in sorted(points, key=_time):
        if path not in newest or step >= newest[path][0]:
            newest[path] = (step, value)
    return {path: value for path, (_, value) in sorted(newest.items())}


def _time(point: Point) -> int:
    return point[2]


def finish_step_table(run: str, wide: pd.DataFrame, times: pd.Series) -> pd.DataFrame:
    """Give a wide frame the form that `step_table` describes.

    Args:
        run: The run's id.
        wide: One row per step, which is the index, and one column per path.
        times: Milliseconds since the Unix epoch, by step.
    """
    wide = wide.sort_index().reindex(columns=sorted(wide.columns))
    wide.columns.name = None
    steps = pd.Series(wide.index.to_numpy(dtype="int64"), name="step")
    table = wide.reset_index(drop=True)
    table.insert(0, "run", run)
    table.insert(1, "step", steps)
    stamps = times.reindex(steps).to_numpy(dtype="int64").astype("datetime64[ms]")
    table.insert(2, "time", pd.DatetimeIndex(stamps, tz="UTC"))
    return table
