"""The saved views of MLflow's UI: what they contain, when they are written, and when not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.mlflow_process import free_port
from tracking.backends import mlflow as backend
from tracking.backends.mlflow.experiment import Experiment, find_experiment
from tracking.backends.mlflow.pages import understands_views
from tracking.backends.mlflow.saved_views import decode_state, encode_state, refresh_views
from tracking.backends.mlflow.views import Contents, differing_keys, saved_views
from tracking.errors import ServerError, StoreWarning
from tracking.events import FIXED_NOISE, REAL, Event, Fields, Metrics, Value
from tracking.testing.sample_run import CREATED, RUN, picture, write
from tracking.tracker import Run

COMPARE = "mlflow.sharedViewState.dcgan-compare"
TAGS = [COMPARE, "mlflow.sharedViewState.dcgan-runs", "mlflow.sharedViewState.dcgan-sweep"]


def experiment(store: Path) -> Experiment:
    found = find_experiment(backend.tracking_uri(store))
    assert found is not None
    return found


def tags(store: Path) -> dict[str, str]:
    found = experiment(store)
    held: dict[str, str] = found.client.get_experiment(found.id).tags
    return held


def track(store: Path, name: str, config: dict[str, Value], *events: Event) -> None:
    """A finished run of that id and name."""
    values: dict[str, Value] = {f"config/{key}": value for key, value in config.items()}
    fields = Fields({**values, "sys/status": "running", "sys/recipe": "digits"})
    write(backend.open_tracker(Run(name, name, CREATED), store), [fields, *events])


def columns(store: Path) -> list[str]:
    state = decode_state(json.loads(tags(store)["mlflow.sharedViewState.dcgan-runs"])["state"])
    return list(state["selectedColumns"])


def envelope(store: Path) -> dict[str, object]:
    """What the tag of the view that compares runs holds."""
    held: dict[str, object] = json.loads(tags(store)[COMPARE])
    return held


def change(store: Path, text: str) -> None:
    found = experiment(store)
    found.client.set_experiment_tag(found.id, COMPARE, text)


def test_the_first_run_writes_the_views_before_it_has_a_metric(tmp_path: Path) -> None:
    tracker = backend.open_tracker(RUN, tmp_path)
    tracker.write(Fields({"config/seed": 1}))
    assert sorted(tags(tmp_path)) == TAGS
    assert envelope(tmp_path)["name"] == "DCGAN: compare"
    assert all(len(tag) < 5_000 for tag in tags(tmp_path).values()), "MLflow 2's limit"


def test_the_columns_are_what_was_chosen_and_differs(tmp_path: Path) -> None:
    config: dict[str, Value] = {"optimizer/lr": 2e-4, "seed": 1, "loss/name": "bce"}
    card: dict[str, Value] = {"description": "a", "dataset/fingerprint": "1", "dataset/size": 10}
    track(tmp_path, "slow", config | card)
    assert "params.`config/optimizer/lr`" in columns(tmp_path), "of a single run too"

    best = Metrics([1], [CREATED], {"evaluation/best_lenet_fid": [4.0], "evaluation/x": [1.0]})
    other: dict[str, Value] = {"description": "b", "dataset/fingerprint": "2", "dataset/size": 20}
    track(tmp_path, "fast", config | other | {"loss/name": "hinge", "init/scheme": "default"}, best)
    assert columns(tmp_path) == [
        "attributes.`Created`",
        "attributes.`Duration`",
        "tags.`sys/status`",
        "tags.`sys/recipe`",
        "params.`config/init/scheme`",
        "params.`config/loss/name`",
        "metrics.`training/epoch/Gloss`",
        "metrics.`training/epoch/Dloss`",
        "metrics.`evaluation/best_lenet_fid`",
    ]


def test_the_grids_begin_at_the_last_step_that_all_runs_have(tmp_path: Path) -> None:
    track(tmp_path, "long", {}, *(picture(FIXED_NOISE, step) for step in (0, 10, 20)))
    track(
        tmp_path, "short", {}, picture(FIXED_NOISE, 0), picture(FIXED_NOISE, 10), picture(REAL, 30)
    )
    charts = saved_views(Contents(grid_step=3))["compare"].state["compareRunCharts"]
    [grids] = [chart for chart in charts if chart["type"] == "IMAGE"]
    assert (grids["step"], grids["showRunParams"]) == (3, False)
    state = decode_state(str(envelope(tmp_path)["state"]))
    assert [chart["step"] for chart in state["compareRunCharts"] if "step" in chart] == [10]


def test_a_run_that_ended_early_does_not_make_the_grids_begin_with_noise(tmp_path: Path) -> None:
    track(tmp_path, "whole", {}, *(picture(FIXED_NOISE, step) for step in (0, 10, 20)))
    track(tmp_path, "early", {}, picture(FIXED_NOISE, 0))
    state = decode_state(str(envelope(tmp_path)["state"]))
    assert [chart["step"] for chart in state["compareRunCharts"] if "step" in chart] == [20]


def test_a_run_that_diverged_gives_the_table_a_column(tmp_path: Path) -> None:
    broken = Metrics([1], [CREATED], {"training/batch/Gloss": [float("nan")]})
    track(tmp_path, "broken", {"seed": 1}, broken)
    assert "tags.`diverged_from_step`" in columns(tmp_path)


@pytest.mark.parametrize("metric", ["evaluation/lenet_fid", "evaluation/inception_1a2b3c4d_kid"])
def test_one_feature_space_needs_no_name_and_two_do(metric: str) -> None:
    def titles(*metrics: str) -> list[str]:
        charts = saved_views(Contents(metrics=frozenset(metrics)))["compare"].state[
            "compareRunCharts"
        ]
        return [chart["displayName"] for chart in charts if chart["metricSectionId"] == "quality"]

    base = metric[-3:].upper()
    assert titles(metric) == [f"{base} ↓"]
    space = "LeNet" if "lenet" in metric else "Inception"
    assert f"{base} ↓ {space}" in titles(metric, "evaluation/random_precision")
    assert titles("evaluation/sliced_wasserstein") == ["Sliced Wasserstein ↓"]


def test_neighbouring_runs_have_different_colours_and_a_users_own_stays(tmp_path: Path) -> None:
    def colours() -> list[str]:
        found = experiment(tmp_path)
        return [run.data.tags["mlflow.runColor"] for run in found.runs()]

    for name in ("one", "two", "three"):
        track(tmp_path, name, {"seed": 1})
    assert len(set(colours())) == 3
    found = experiment(tmp_path)
    run = found.find("one")
    assert run is not None
    found.client.set_tag(run.info.run_id, "mlflow.runColor", "#123456")
    track(tmp_path, "one", {"seed": 1})
    assert "#123456" in colours()


def test_a_view_is_rewritten_only_if_it_changes(tmp_path: Path) -> None:
    track(tmp_path, "one", {"seed": 1})
    before = tags(tmp_path)
    refresh_views(experiment(tmp_path))
    assert tags(tmp_path) == before


@pytest.mark.parametrize(
    "damaged",
    ["", "{", "[]", '{"name": "x", "state": "deflate;!"}', '{"state": 3, "createdAt": "x"}'],
)
def test_a_view_damaged_by_hand_is_mended(tmp_path: Path, damaged: str) -> None:
    track(tmp_path, "one", {"seed": 1})
    expected = envelope(tmp_path)["state"]
    change(tmp_path, damaged)
    refresh_views(experiment(tmp_path))
    assert envelope(tmp_path)["state"] == expected
    assert isinstance(envelope(tmp_path)["createdAt"], int)


def test_an_older_view_of_ours_is_mended_and_keeps_its_date(tmp_path: Path) -> None:
    track(tmp_path, "one", {"seed": 1})
    old = {**envelope(tmp_path), "createdAt": 5, "state": encode_state({"selectedColumns": []})}
    change(tmp_path, json.dumps(old))
    track(tmp_path, "two", {"seed": 1})
    assert decode_state(str(envelope(tmp_path)["state"]))["selectedColumns"]
    assert envelope(tmp_path)["createdAt"] == 5


def test_what_a_user_saved_is_never_touched(tmp_path: Path) -> None:
    track(tmp_path, "one", {"seed": 1})
    # What the UI writes lacks our mark, also where a user saves over a view of ours.
    own = {"name": "mine", "createdAt": 1, "updatedAt": 2, "state": encode_state({"a": 1})}
    change(tmp_path, json.dumps(own))
    found = experiment(tmp_path)
    found.client.set_experiment_tag(found.id, "mlflow.sharedViewState.0a1b", json.dumps(own))
    track(tmp_path, "two", {"seed": 2})
    assert envelope(tmp_path) == own
    assert json.loads(tags(tmp_path)["mlflow.sharedViewState.0a1b"]) == own


def test_a_store_that_refuses_the_views_gets_the_run_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(experiment: Experiment) -> None:
        raise MlflowException("Permission denied.")

    monkeypatch.setattr("tracking.backends.mlflow.writing.refresh_views", refuse)
    monkeypatch.setattr("tracking.backends.mlflow.pages.refresh_views", refuse)
    with pytest.warns(StoreWarning, match=r"MLflow's UI could not be saved: Permission denied"):
        track(tmp_path, "one", {"seed": 1})
    assert backend.load_runs(tmp_path).loc["one", "sys/status"] == "finished"
    assert backend.ui_page(tmp_path, "compare") == "#/experiments/1?workflowType=machine_learning"


def test_the_page_opens_on_the_view(tmp_path: Path) -> None:
    own = "#/experiments/0?workflowType=machine_learning"
    assert backend.ui_page(tmp_path, "compare") == own, "there is no experiment yet"
    track(tmp_path, "one", {"seed": 1})
    page = "#/experiments/1/runs?workflowType=machine_learning"
    modes = {"compare": "CHART", "runs": "TABLE", "sweep": "CHART"}
    for view in ("compare", "runs", "sweep"):
        key = f"&compareRunsMode={modes[view]}&viewStateShareKey=dcgan-{view}"
        assert backend.ui_page(tmp_path, view) == f"{page}{key}"
    assert backend.ui_page(tmp_path, None) == own.replace("0", "1")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3.17.2", True), ("3.20.0", True), ("3.16.1", False), ("2.22.0", False), ("4.0.0", False),
     ("", False), ("3.x", False), ("<html>", False)],
)  # fmt: skip
def test_a_ui_of_another_version_shows_its_own_page(version: str, *, expected: bool) -> None:
    assert understands_views(version) is expected


def test_the_installed_version_is_one_whose_pages_were_looked_at() -> None:
    """With the next one: run tests/integration/test_mlflow_ui.py, and look at its screenshots."""
    from mlflow.version import VERSION

    assert understands_views(VERSION)


def test_a_server_that_is_down_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ServerError, match="MLflow does not answer"):
        backend.ui_page(tmp_path, "compare")


def test_what_differs_between_runs_is_compared_by_text() -> None:
    runs = [
        {"config/a": "1", "config/b": "x"},
        {"config/a": "1"},
        {"config/a": "1", "config/b": "x"},
    ]
    assert differing_keys(runs) == ["config/b"]
    assert differing_keys([]) == []
