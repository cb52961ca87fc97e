"""Every path has a name that MLflow takes, and is found again by it."""

from __future__ import annotations

import random

import pytest

from tracking.backends.mlflow.names import from_mlflow, to_mlflow

PATHS = [
    "",
    ".",
    "..",
    "/",
    "//",
    "a//b",
    "/a",
    "a/",
    "./a",
    "a/./b",
    "a/../b",
    "../../x",
    "...",
    "a/..",
]
PATHS += [
    "acc@1",
    "val loss [%]",
    "_x40_",
    "_x_",
    "_x5f_x40_",
    "_x",
    "x_x40",
    "naïve ±",
    "🌌",
    "a\nb",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_has_a_name_that_mlflow_takes(path: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    name = to_mlflow(path)
    _validate_metric_name(name)
    assert from_mlflow(name) == path


def test_any_mixture_has_a_name_of_its_own() -> None:
    from mlflow.utils.validation import _validate_metric_name

    draws, names = random.Random(0), {}
    for _ in range(3_000):
        path = "".join(draws.choices(["/", ".", "_", "x", "4", "0", "a", "@", " "], k=6))
        name = to_mlflow(path)
        _validate_metric_name(name)
        assert from_mlflow(name) == path
        assert names.setdefault(name, path) == path


@pytest.mark.parametrize("path", ["training/batch/D_G_z1", "zope.interface - 2_x y", "config/a:b"])
def test_what_mlflow_takes_stays_as_it_is(path: str) -> None:
    assert to_mlflow(path) == path
