"""What MLflow's UI cannot draw is kept beside the curve, and read back as it was."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tracking.backends import mlflow as backend
from tracking.backends.mlflow.experiment import Experiment, find_experiment
from tracking.backends.mlflow.layout import DIVERGED_TAG, metric_name, metric_path
from tracking.events import BATCH, Fields, Metrics
from tracking.testing.sample_run import CREATED, RUN, content, write

NAN, INF = math.nan, math.inf
GLOSS, DLOSS = f"{BATCH}/Gloss", f"{BATCH}/Dloss"


def losses(first: int, gloss: list[float], dloss: list[float] | None = None) -> Metrics:
    """A block of both losses from the step `first` on; D's are 1 if omitted."""
    steps = list(range(first, first + len(gloss)))
    values = {GLOSS: gloss, DLOSS: dloss or [1.0] * len(gloss)}
    return Metrics(steps, [CREATED + step for step in steps], values)


def experiment(store: Path) -> Experiment:
    found = find_experiment(backend.tracking_uri(store))
    assert found is not None
    return found


def diverged_from(store: Path) -> str | None:
    run = experiment(store).find(RUN.id)
    assert run is not None
    tag: str | None = run.data.tags.get(DIVERGED_TAG)
    return tag


def test_the_ui_gets_the_finite_part_and_readers_get_all_of_it(tmp_path: Path) -> None:
    block = losses(1, [0.5, NAN, INF, -INF, 1e308], [1.0, 2.0, NAN, 4.0, 5.0])
    events = [Fields({"config/seed": 1}), block]
    write(backend.open_tracker(RUN, tmp_path), events)

    found = experiment(tmp_path)
    run = found.find(RUN.id)
    assert run is not None
    drawn = found.client.get_metric_history(run.info.run_id, GLOSS)
    assert [(point.step, point.value) for point in drawn] == [(1, 0.5), (5, 1e308)]
    read = content(backend.load_events(tmp_path, RUN.id))["points"]
    assert read == content([events[0], block])["points"]
    assert backend.load_last_values(tmp_path, RUN.id) == {GLOSS: 1e308, DLOSS: 5.0}
    tail = backend.load_tails(tmp_path, RUN.id, [GLOSS], 0.6)[GLOSS]
    assert tail.to_list() == [INF, -INF, 1e308]


def test_the_last_value_may_be_one_that_is_not_finite(tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), [losses(1, [0.5, -INF])])
    assert backend.load_last_values(tmp_path, RUN.id)[GLOSS] == -INF
    held = backend.open_tracker(RUN, tmp_path).held()
    assert (held.last_step[GLOSS], held.last_time[GLOSS]) == (2, CREATED + 2)


def test_a_tag_says_from_which_step_on_the_run_diverged(tmp_path: Path) -> None:
    tracker = backend.open_tracker(RUN, tmp_path)
    tracker.write(losses(1, [1.0, NAN, 1.0]))
    assert diverged_from(tmp_path) is None, "one bad step is not a divergence"
    tracker.write(losses(4, [1.0, 1.0, 1.0], [1.0, INF, NAN]))
    assert diverged_from(tmp_path) == "5"

    again = backend.open_tracker(RUN, tmp_path)
    again.write(losses(7, [NAN, NAN]))
    assert diverged_from(tmp_path) == "5", "it is still the same divergence"
    again.write(Metrics([8], [CREATED + 8], {"training/epoch/Gloss": [1.0]}))
    assert diverged_from(tmp_path) == "5"
    again.write(losses(9, [1.0]))
    assert diverged_from(tmp_path) is None
    again.write(losses(10, [NAN]))
    again.close("finished")
    assert diverged_from(tmp_path) == "10"
    assert DIVERGED_TAG not in backend.load_runs(tmp_path).columns


def test_runs_of_earlier_versions_read_back_as_they_were(tmp_path: Path) -> None:
    tracker = backend.open_tracker(RUN, tmp_path)
    found = experiment(tmp_path)
    run = found.find(RUN.id)
    assert run is not None
    for step, value in enumerate([1.0, NAN, INF, -INF], start=1):
        found.client.log_metric(run.info.run_id, GLOSS, value, CREATED + step, step)
    tracker.close("finished")
    values = backend.load_steps(tmp_path, RUN.id)[GLOSS].tolist()
    assert list(map(repr, values)) == ["1.0", "nan", "inf", "-inf"]


@pytest.mark.parametrize("path", [GLOSS, "non_finite/x", "non_finite", "", "non_finite//a@b"])
@pytest.mark.parametrize("finite", [True, False])
def test_both_names_of_a_metric_are_its_own(path: str, *, finite: bool) -> None:
    name = metric_name(path, finite=finite)
    assert metric_path(name) == path
    assert name.startswith("non_finite/") is not finite
