"""Runs of several stores read as one."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.runs import BACKEND, PLACE
from tests.support.mlflow_process import mlflow_server
from tests.support.neptune_exporter import rows_of_offline_run, write_export
from tracking.backends import REMOTES, load_backend
from tracking.errors import ServerError, StoreError
from tracking.events import Fields, Metrics
from tracking.query import QueryError
from tracking.sources import RunSource, resolve_source
from tracking.testing.sample_run import CREATED, RUN, block, epoch_means, write
from tracking.tracker import Run

BACKENDS = ("local", *REMOTES)
GLOSS, DLOSS = "training/batch/Gloss", "training/batch/Dloss"


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT"):
        monkeypatch.delenv(variable, raising=False)


def track(backend: str, store: Path, number: int) -> Run:
    """A run of 400 steps and 4 epochs, whose learning rate is its number."""
    run = replace(RUN, id=f"{backend[:5]}-00000{number}", created=CREATED + number)
    events = [
        Fields(
            {
                "config/optimizer/lr": number / 1_000,
                "sys/seed": number,
                "sys/created": f"2026-01-0{number + 1}T00:00:00.000Z",
            }
        ),
        block(100, 499),
        *(epoch_means(step) for step in (199, 299, 399, 499)),
    ]
    write(load_backend(backend).open_tracker(run, store), events)
    return run


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """One store per backend, each with one run."""
    places = {}
    for number, backend in enumerate(("local", "mlflow", "neptune", "tensorboard")):
        store = tmp_path / backend
        track(backend, store, number)
        places[backend] = str(store)
    offline = tmp_path / "before"
    old = track("neptune", offline, 5)
    rows = list(rows_of_offline_run(offline, tmp_path / "export", old.id))
    write_export(tmp_path / "export", old.id, rows)
    places["neptune_export"] = str(tmp_path / "export")
    return places


def test_the_stores_of_all_backends_are_read_as_one(places: dict[str, str]) -> None:
    runs = load(*places.values())

    assert list(runs.table["sys/seed"]) == [0, 1, 2, 3, 5], "the oldest first"
    assert [runs.sources[run].backend for run in runs.table.index] == list(places)
    journal = runs.steps(runs.table.index[0]).drop(columns="run")
    for run in runs.table.index:
        pd.testing.assert_frame_equal(runs.steps(run).drop(columns="run"), journal)
    means = runs.final_means([GLOSS, DLOSS], 0.1)
    expected = journal[journal["step"] > 499 - 50][[GLOSS, DLOSS]].mean()
    for run in runs.table.index:
        np.testing.assert_allclose(means.loc[run], expected)
    last = runs.last_values()
    assert (last[DLOSS] == 1 / 499).all()
    assert (last["training/epoch/Gloss"] == 1 / 3).all()
    assert runs.folder(runs.table.index[0]) == Path(places["local"]) / runs.table.index[0]
    assert runs.folder(runs.table.index[1]) is None


def test_an_expression_chooses_among_all(places: dict[str, str]) -> None:
    runs = load(*places.values(), where="optimizer.lr > 1e-3 and Gloss < 2 and seed != 3")
    assert list(runs.table["sys/seed"]) == [2, 5]
    with pytest.raises(QueryError, match="No run has"):
        load(*places.values(), where="optimizer.rl > 1")


def test_a_run_that_two_places_hold_counts_once(tmp_path: Path) -> None:
    for store in ("here", "there"):
        track("local", tmp_path / store, 1)
    track("local", tmp_path / "there", 2)
    runs = load(tmp_path / "here", tmp_path / "there")
    assert len(runs.table) == 2
    assert [Path(runs.sources[run].location).name for run in runs.table.index] == ["here", "there"]


def test_what_lies_at_a_place_is_found_out(places: dict[str, str], tmp_path: Path) -> None:
    for backend, folder in places.items():
        assert resolve_source(folder).backend == backend
    database = Path(places["mlflow"]) / "mlflow.db"
    assert resolve_source(database) == RunSource("mlflow", f"sqlite:///{database}")
    assert resolve_source(places["mlflow"]) == resolve_source(database)
    assert resolve_source("http://127.0.0.1:5000") == RunSource("mlflow", "http://127.0.0.1:5000")
    with pytest.raises(StoreError, match="There are no runs in"):
        resolve_source(tmp_path / "nowhere")


def test_a_sqlite_file_is_read_whatever_server_the_environment_names(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert len(load(places["mlflow"]).table) == 1


def test_a_source_can_name_its_backend(places: dict[str, str]) -> None:
    runs = load(RunSource("mlflow", f"sqlite:///{places['mlflow']}/mlflow.db"))
    assert list(runs.table["sys/seed"]) == [1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_nan_of_a_window_makes_the_mean_nan_in_every_store(
    backend: str, tmp_path: Path
) -> None:
    """Also where nothing else of the step is a number, and where other metrics stand there."""
    steps = list(range(1, 41))
    values = [math.nan if step == 38 else 1.0 for step in steps]
    events = [
        Metrics(steps, steps, {GLOSS: values, DLOSS: [2.0] * 37 + [math.inf] * 3}),
        Metrics([38], [38], {"training/epoch/Gloss": [0.5], "system/cpu": [0.5]}),
    ]
    write(load_backend(backend).open_tracker(RUN, tmp_path), events)
    runs = load(tmp_path)
    means = runs.final_means([GLOSS, DLOSS, "training/epoch/Gloss", "training/batch/none"], 0.1)
    np.testing.assert_array_equal(means.loc[RUN.id], [math.nan, math.inf, 0.5, math.nan])
    assert runs.final_means([GLOSS], 0.05)[GLOSS].item() == 1
    assert runs.final_means([GLOSS], 0.1)[GLOSS].isna().item()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_ended_in_nan_has_no_older_last_value(backend: str, tmp_path: Path) -> None:
    events = [Metrics([1, 2], [1, 2], {GLOSS: [1.0, math.nan], DLOSS: [1.0, 2.0]})]
    write(load_backend(backend).open_tracker(RUN, tmp_path), events)
    np.testing.assert_array_equal(load(tmp_path).last_values()[[DLOSS, GLOSS]], [[2, math.nan]])


def test_the_table_says_what_read_each_run_and_where(places: dict[str, str]) -> None:
    table = load(*places.values()).table
    assert list(table[BACKEND]) == list(places)
    assert list(table[PLACE])[2:] == list(places.values())[2:]
    assert table[PLACE].iloc[1] == f"sqlite:///{places['mlflow']}/mlflow.db"


def test_all_steps_are_those_of_each_run(places: dict[str, str]) -> None:
    runs = load(*places.values())
    for run, steps in load(*places.values()).all_steps(runs.table.index[1:]).items():
        pd.testing.assert_frame_equal(steps, runs.steps(run))
        assert runs.steps(run) is runs.steps(run)


@pytest.mark.parametrize("backend", ["neptune", "tensorboard"])
def test_a_backends_own_folder_is_a_place_too(
    backend: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places[backend])
    assert len(load(backend).table) == 1
    assert len(load(Path(places[backend]) / backend).table) == 1


def test_the_runs_of_a_server_are_read_beside_others(
    places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"sqlite:///{places['mlflow']}/mlflow.db"
    with mlflow_server(tmp_path / "server", database) as address:
        runs = load(places["local"], address)
        assert list(runs.table["sys/seed"]) == [0, 1]
        first, second = (runs.steps(run).drop(columns="run") for run in runs.table.index)
        pd.testing.assert_frame_equal(first, second)
        assert runs.final_means([DLOSS]).nunique().item() == 1


def test_metrics_are_read_only_for_expressions_that_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track("local", tmp_path, 1)
    monkeypatch.delattr("tracking.backends.local.last_values")
    assert len(load(tmp_path, where="optimizer.lr == 1e-3 and seed == 1").table) == 1
    with pytest.raises(NameError, match="last_values"):
        load(tmp_path, where="seed == 1 and Gloss < 2")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", r"tensorboard/\*/events\*"),
        ("nowhere", "does not exist"),
        ("text.db", "cannot be read"),
        ("other.db", "not MLflow's"),
        ("empty.db", "finds no runs"),
        (
            RunSource("tensorboard", "."),
            r"Looked for:\n  tensorboard/\*/events\*  \(tensorboard\)\n",
        ),
        (RunSource("mlfow", "."), "no backend 'mlfow'"),
    ],
)
def test_a_place_without_runs_is_reported_and_left_as_it_is(
    place: str | RunSource, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.db").write_text("no database")
    Path("empty.db").touch()
    with contextlib.closing(sqlite3.connect("other.db")) as database:
        database.execute("CREATE TABLE x (y)")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(StoreError, match=message):
        load(place)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "no-such-scheme://x"])
def test_an_address_at_which_nothing_answers_is_reported(address: str) -> None:
    with pytest.raises(ServerError, match="does not answer at"):
        load(address)
