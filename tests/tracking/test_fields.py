"""Values as flat paths and as text, there and back."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from tracking.events import Value
from tracking.fields import flatten, from_iso8601, from_text, nest, to_iso8601, to_text

VALUES: list[Value] = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    2**63,
    -(2**200),
    0.0,
    -0.0,
    1.0,
    2e-4,
    0.1 + 0.2,
    5e-324,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    math.nan,
    "",
    " ",
    "  both ends  ",
    "one\ntwo\r\nthree\n",
    "\ttab",
    "naïve, 星, 🌌",
    "\ufeffbyte order mark",
    "\x00\x1b[31m",
    "\udcff, a byte that is no text",
    "none",
    "null",
    "true",
    "True",
    "NaN",
    "-Infinity",
    "0",
    " 1",
    "007",
    "1e-3",
    "1_000",
    "9" * 5000,
    "[1, 2]",
    "[1, 2",
    "[" * 200_000,
    '{"lr": 1}',
    '"quoted"',
    '"',
    "C:\\data\\n",
    [],
    [1, 2.5, "three", None, True],
    ["", "null", "a, b", 'c "d"', "[1]"],
    [2**70, math.inf, "\n"],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_a_value_comes_back_from_text_with_its_type(value: Value) -> None:
    back = from_text(to_text(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value)  # tells -0.0 from 0.0, and NaN equals NaN
    if isinstance(value, list):
        assert isinstance(back, list)
        assert [type(item) for item in back] == [type(item) for item in value]


def test_texts_of_different_values_differ() -> None:
    texts = [to_text(value) for value in VALUES]
    assert len(set(texts)) == len(VALUES)


def test_a_plain_string_stays_as_it_is() -> None:
    assert to_text("hinge loss, λ = 0.2") == "hinge loss, λ = 0.2"
    assert to_text(2e-4) == "0.0002"
    assert to_text("true") == '"true"'


def test_flatten_keeps_lists_whole_and_joins_keys() -> None:
    tree: dict[str, Any] = {
        "optimizer": {"lr": 1e-3, "betas": (0.5, 0.999)},
        "tags": [],
        "seed": None,
    }
    flat = {"optimizer/lr": 1e-3, "optimizer/betas": [0.5, 0.999], "tags": [], "seed": None}
    assert flatten(tree) == flat
    assert flatten(tree, "config") == {f"config/{path}": value for path, value in flat.items()}


def test_nest_is_the_inverse_of_flatten() -> None:
    tree = {
        "config": {"dataset": {"path": "/data", "size": 64}, "seed": 1},
        "sys": {"tags": ["a", "b"], "error": None},
        "single": True,
    }
    assert nest(flatten(tree)) == tree
    flat: dict[str, Value] = {"b/c/d": 1, "a": "x", "b/c/e": [1, 2], "b/f": None}
    assert flatten(nest(flat)) == flat
    assert nest({}) == flatten({}) == {}


def test_the_nested_tree_survives_json() -> None:
    flat = {f"config/{index}": value for index, value in enumerate(VALUES)}
    back = flatten(json.loads(json.dumps(nest(flat))))
    assert repr(back) == repr(flat)


def test_a_moment_comes_back_from_utc_to_the_millisecond() -> None:
    draw = random.Random(0)
    moments = [draw.randrange(0, 4_102_444_800_000) for _ in range(20_000)]  # 1970 to 2100
    for moment in [0, 1, 999, 1_700_000_000_000, 1_700_000_000_001, *moments]:
        assert from_iso8601(to_iso8601(moment)) == moment


def test_utc_sorts_by_time_and_reads_as_iso() -> None:
    assert to_iso8601(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
    assert to_iso8601(1_700_000_000_000) == "2023-11-14T22:13:20.000Z"
    moments = sorted(random.Random(1).sample(range(4_102_444_800_000), 1000))
    assert sorted(map(to_iso8601, moments)) == list(map(to_iso8601, moments))
    assert from_iso8601("2023-11-14T23:13:20.123+01:00") == 1_700_000_000_123


@pytest.mark.parametrize("paths", [["a", "a/b"], ["a/b", "a"], ["a/b/c", "a/b", "a", "a/d"]])
def test_a_path_may_have_a_value_and_others_below_it(paths: list[str]) -> None:
    flat: dict[str, Value] = {path: index for index, path in enumerate(paths)}
    assert flatten(json.loads(json.dumps(nest(flat)))) == flat
    assert flatten(nest(flat), "config") == {f"config/{path}": flat[path] for path in flat}
