"""The scores of one run's checkpoints as curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.plots.evaluation_curves import evaluation_curves, has_evaluation
from analysis.plots.run import save_run_plots
from analysis.plots.style import caption_of
from tests.support.drawn_run import random_values, write_run
from tracking.backends.local import open_tracker, read_fields, read_run, read_steps
from tracking.events import Fields, Metrics

SCORES = {
    "fid": [90.0, 40.0],
    "lenet_fid": [30.0, float("nan")],
    "best_fid": [90.0, 40.0],
    "precision": [0.1, 0.5],
    "recall": [0.2, 0.3],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that was evaluated at steps 100 and 250."""
    folder = write_run(tmp_path / "run", random_values(250))
    journal = open_tracker(read_run(folder), tmp_path)
    values = {f"evaluation/{name}": series for name, series in SCORES.items()}
    journal.write(Metrics([100, 250], [1, 2], values))
    journal.write(Fields({"sys/evaluation/floor/fid": 3.5, "sys/evaluation/floor/recall": None}))
    journal.close("finished")
    return folder


def test_each_distance_has_a_panel_with_the_score_of_real_images(folder: Path) -> None:
    steps = read_steps(folder)
    assert has_evaluation(steps)
    figure = evaluation_curves(steps, read_fields(folder), "a title")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:3] == ["fid", "lenet_fid", "precision and recall"]
    curve, real = figure.axes[0].get_lines()
    np.testing.assert_array_equal(curve.get_xydata(), [[100, 90], [250, 40]])
    assert list(real.get_ydata()) == [3.5, 3.5]
    assert figure.axes[0].get_ylabel() == "lower is better"
    (curve,) = figure.axes[1].get_lines()
    np.testing.assert_array_equal(curve.get_xydata(), [[100, 30]])
    assert [line.get_label() for line in figure.axes[2].get_lines()] == ["precision", "recall"]


def test_real_images_that_were_trained_on_are_not_called_held_out(folder: Path) -> None:
    source = "the other half of the images, which were trained on as well"
    figure = evaluation_curves(read_steps(folder), {"sys/evaluation/held_out": source})
    assert f"what real images get ({source})" in caption_of(figure)


def test_a_plot_of_a_run_has_them(folder: Path, tmp_path: Path) -> None:
    saved = save_run_plots(folder, tmp_path / "plots", lambda _: None)
    assert [file.name for file in saved[-2:]] == ["evaluation.png", "captions.txt"]


def test_without_an_evaluation_there_is_nothing_to_draw(tmp_path: Path) -> None:
    steps = read_steps(write_run(tmp_path / "run", random_values(5)))
    assert not has_evaluation(steps)
    with pytest.raises(ValueError, match="not evaluated"):
        evaluation_curves(steps, {})
