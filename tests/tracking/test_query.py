"""Runs chosen and ordered by an expression."""

from __future__ import annotations

import math

import pytest

from tracking.query import QueryError, RunNames, names_of, order, run_names, select

RUNS = {
    "slow": run_names(
        {
            "config/optimizer/lr": 2e-4,
            "config/training/epochs": 20,
            "sys/status": "finished",
            "sys/tags": ["baseline", "a"],
            "sys/seed": 0,
        },
        {"training/batch/Gloss": 9.0, "training/epoch/Gloss": 1.5, "evaluation/fid": 30.0},
    ),
    "fast": run_names(
        {
            "config/optimizer/lr": 2e-3,
            "config/training/epochs": 20,
            "sys/status": "failed",
            "sys/tags": [],
            "sys/seed": 1,
        },
        {"training/batch/Gloss": 3.0, "evaluation/fid": math.nan},
    ),
    "other": run_names({"config/optimizer/lr": None, "sys/status": "finished", "sys/seed": 2}, {}),
}


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("optimizer.lr < 1e-3", ["slow"]),
        ('optimizer.lr < 1e-3 and status == "finished"', ["slow"]),
        ("status == 'finished'", ["slow", "other"]),
        ("not status == 'finished'", ["fast"]),
        ("'baseline' in tags", ["slow"]),
        ("Gloss < 2", ["slow"]),
        ("training.batch.Gloss > 2", ["slow", "fast"]),
        ("training.epochs == 20 and training.epoch.Gloss < 2", ["slow"]),
        ("fid < 40", ["slow"]),
        ("seed in (0, 2)", ["slow", "other"]),
        ("seed * 2 + 1 >= 3", ["fast", "other"]),
        ("optimizer.lr", ["slow", "fast"]),
        ("tags[1] == 'a'", ["slow"]),
        ("tags[5] == 'a'", []),
        ("status * 2", []),
        ("-seed < -1 or seed in [0]", ["slow", "other"]),
    ],
)
def test_runs_are_chosen(expression: str, chosen: list[str]) -> None:
    assert select(expression, RUNS) == chosen


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("lr <", "cannot be read"),
        ("optimizr.lr < 1", "Did you mean optimizer.lr"),
        ("optimizer.lrr < 1", "Did you mean optimizer.lr"),
        ("nothing_like_it == 3", "dcgan show"),
        ("__import__('os').system('true')", "not allowed"),
        ("open('x')", "not allowed"),
        ("(1).__class__", "not allowed"),
        ("1 / 0", "division by zero"),
        ("seed = 1", "cannot be read"),
        ("9**9**9**9", "not allowed"),
        ("9" * 10_000, "cannot be read"),
        ("[" * 900 + "]" * 900, "cannot be read|fails"),
        ("-" * 1_900 + "1", "cannot be read|fails"),
        ("f'{seed:999999999}'", "not allowed"),
        ("[i for i in tags]", "not allowed"),
        ("status.upper()", "not allowed"),
        ("seed.real", "No run has"),
        ("tags.__class__", "No run has"),
        ("'a'.__class__", "not allowed"),
    ],
)
def test_what_cannot_be_evaluated_is_explained(expression: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        select(expression, RUNS)


@pytest.mark.parametrize(
    "expression",
    ["'x' * 10**9", "'%999999999d' % seed", "tags * 999999999", "seed < 2 + '%9d' % 1"],
)
def test_no_expression_takes_memory_without_bound(expression: str) -> None:
    try:
        assert select(expression, RUNS) == []
    except QueryError as error:
        assert "not allowed" in str(error)


def test_runs_are_ordered_by_a_value_and_those_without_it_come_last() -> None:
    assert order("optimizer.lr", RUNS) == ["slow", "fast", "other"]
    assert order("optimizer.lr", RUNS, descending=True) == ["fast", "slow", "other"]
    assert order("fid", RUNS) == ["slow", "fast", "other"]
    assert order("status", RUNS) == ["fast", "slow", "other"]
    with pytest.raises(QueryError, match="Did you mean"):
        order("fidd", RUNS)


def test_without_runs_nothing_is_chosen() -> None:
    none: dict[str, RunNames] = {}
    assert select("seed == 1", none) == order("seed", none) == []


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("optimizer.lr < 1e-3 and status == 'finished'", {"optimizer.lr", "status"}),
        ("'baseline' in tags or Gloss < -2 * a.b.Dloss", {"tags", "Gloss", "a.b.Dloss"}),
        ("1 < 2", set()),
        ("[a, b.c][0] == 1 if not d else e.f", {"a", "b.c", "d", "e.f"}),
    ],
)  # fmt: skip
def test_the_names_of_an_expression(expression: str, names: set[str]) -> None:
    assert names_of(expression) == names
