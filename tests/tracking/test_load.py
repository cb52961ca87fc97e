"""Runs of several stores read as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from neptune_exporter import rows_of_offline_run, write_export
from sample_run import CREATED, RUN, block, epoch_means, write

from analysis import load
from tracking.backends import load_backend
from tracking.errors import StoreError
from tracking.events import Fields
from tracking.places import Place, find_place
from tracking.query import QueryError
from tracking.tracker import Run

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
    """Each store with a run of its own; all of them also hold one that the first has."""
    found = {}
    for number, backend in enumerate(("local", "mlflow", "neptune", "tensorboard")):
        store = tmp_path / backend
        track(backend, store, number)
        found[backend] = str(store)
    offline = tmp_path / "before"
    old = track("neptune", offline, 5)
    rows = list(rows_of_offline_run(offline, tmp_path / "export", old.id))
    write_export(tmp_path / "export", old.id, rows)
    found["neptune_export"] = str(tmp_path / "export")
    return found


def test_the_stores_of_all_backends_are_read_as_one(places: dict[str, str]) -> None:
    runs = load(*places.values())

    assert list(runs.table["sys/seed"]) == [0, 1, 2, 3, 5], "the oldest first"
    assert [runs.places[run].backend for run in runs.table.index] == list(places)
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
    assert [Path(runs.places[run].at).name for run in runs.table.index] == ["here", "there"]


def test_what_lies_at_a_place_is_found_out(places: dict[str, str], tmp_path: Path) -> None:
    for backend, folder in places.items():
        assert find_place(folder).backend == backend
    database = Path(places["mlflow"]) / "mlflow.db"
    assert find_place(database) == Place("mlflow", f"sqlite:///{database}")
    assert find_place(places["mlflow"]) == find_place(database)
    assert find_place("http://127.0.0.1:5000") == Place("mlflow", "http://127.0.0.1:5000")
    with pytest.raises(StoreError, match="There are no runs in"):
        find_place(tmp_path / "nowhere")


def test_a_sqlite_file_is_read_whatever_server_the_environment_names(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert len(load(places["mlflow"]).table) == 1


def test_a_place_can_be_said_outright(places: dict[str, str]) -> None:
    runs = load(Place("mlflow", f"sqlite:///{places['mlflow']}/mlflow.db"))
    assert list(runs.table["sys/seed"]) == [1]


def test_values_that_are_not_finite_stay_so_in_the_mean(tmp_path: Path) -> None:
    run = replace(RUN, id="broken-000001")
    tracker = load_backend("local").open_tracker(run, tmp_path)
    write(tracker, [Fields({"sys/seed": 1}), block(1, 20)])  # 7 is NaN, 8 and 9 are infinite
    runs = load(tmp_path)
    assert np.isnan(runs.final_means([GLOSS], 0.9)[GLOSS].item())
    assert np.isfinite(runs.final_means([GLOSS], 0.5)[GLOSS].item())
    assert np.isnan(runs.final_means(["training/batch/none"], 0.5).iloc[0, 0])
