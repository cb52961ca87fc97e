"""The two tables: their order, their types, and what stands where nothing is known."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from tracking.events import Value
from tracking.fields import to_iso8601
from tracking.tables import Point, run_table, step_table

TIME = 1_700_000_000_123


def fields(created: int, **values: Value) -> Mapping[str, Value]:
    return {
        "sys/created": to_iso8601(created),
        **{f"config/{key}": value for key, value in values.items()},
    }


def test_runs_come_oldest_first_whatever_their_ids() -> None:
    runs = {"b": fields(TIME + 1), "a": fields(TIME + 2), "c": fields(TIME)}
    table = run_table(runs)
    assert list(table.index) == ["c", "b", "a"]
    assert table.index.name == "run"


def test_the_columns_of_runs_are_the_sorted_paths_and_a_missing_value_is_none() -> None:
    table = run_table({"a": fields(TIME, z=1), "b": fields(TIME + 1, y=None)})
    assert list(table.columns) == ["config/y", "config/z", "sys/created"]
    assert table.loc["b", "config/z"] is None
    assert table.loc["a", "config/y"] is None


@pytest.mark.parametrize(
    "value", [7, 2**70, True, 1.0, "", "1", None, [], ["x", "y"], [1, None, 0.5]], ids=repr
)
def test_a_field_keeps_its_value_and_type_beside_runs_that_differ(value: Value) -> None:
    others = {"other": fields(TIME + 1, v="text"), "without": fields(TIME + 2)}
    table = run_table({"run": fields(TIME, v=value), **others})
    assert table["config/v"].dtype == object
    assert table.loc["run", "config/v"] == value
    assert type(table.loc["run", "config/v"]) is type(value)


def test_no_runs_are_an_empty_table() -> None:
    table = run_table({})
    assert table.empty
    assert table.index.name == "run"


def test_points_in_any_order_become_one_row_a_step() -> None:
    points: list[Point] = [
        ("b", 2, TIME + 20, 4.0),
        ("a", 10, TIME + 100, math.inf),
        ("b", 1, TIME + 10, 3.0),
        ("a", 2, TIME + 21, math.nan),
        ("a", 1, TIME + 10, 1.0),
    ]
    table = step_table("r", points)
    assert list(table.columns) == ["run", "step", "time", "a", "b"]
    assert list(table["run"]) == ["r", "r", "r"]
    assert list(table["step"]) == [1, 2, 10]
    np.testing.assert_array_equal(table["a"], [1.0, math.nan, math.inf])
    np.testing.assert_array_equal(table["b"], [3.0, 4.0, math.nan])
    assert list(table["time"]) == [
        pd.Timestamp(TIME + offset, unit="ms", tz="UTC") for offset in (10, 21, 100)
    ]


def test_of_a_point_that_comes_twice_the_last_counts() -> None:
    points: list[Point] = [("a", 1, TIME, 1.0), ("a", 2, TIME, 2.0), ("a", 1, TIME + 5, 9.0)]
    table = step_table("r", points)
    assert list(table["a"]) == [9.0, 2.0]


@pytest.mark.parametrize("points", [[], [("a", 1, TIME, 1.0)]], ids=["empty", "one"])
def test_the_types_of_the_step_table_do_not_depend_on_its_length(points: list[Point]) -> None:
    table = step_table("r", points)
    types = {name: str(table[name].dtype) for name in ("step", "time")}
    assert types == {"step": "int64", "time": "datetime64[ms, UTC]"}
    assert all(table[path].dtype == "float64" for path in table.columns[3:])
    assert isinstance(table.index, pd.RangeIndex)
    assert table.columns.name is None
