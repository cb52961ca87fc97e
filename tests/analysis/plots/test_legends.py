"""No legend covers a curve, a title or another panel, and none is cut off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from analysis.plots.arm_losses import loss_bands
from analysis.plots.arm_scores import score_bands
from analysis.plots.evaluation_curves import evaluation_curves
from analysis.plots.probes import class_shift, label_efficiency
from analysis.plots.run import loss_curves, score_curves
from tests.support.drawn_arms import arms_with_steps, step_table
from tests.support.drawn_run import random_values

TITLE = "digits-abc234 · a run with a rather long name, which was stopped at step 250"


def run_steps() -> pd.DataFrame:
    """Of a run with a hatched stretch that the legends name, and with evaluations."""
    values = random_values(250)
    values[100:120] = np.nan
    steps = step_table(values, steps_per_epoch=100)
    for name in ("fid", "lenet_fid", "precision", "recall"):
        steps[f"evaluation/{name}"] = np.where(steps["step"] % 50 == 0, 0.3, np.nan)
    return steps


def of_arms(draw: Callable[..., object], counts: list[int]) -> Figure:
    figure = draw(*arms_with_steps(counts)).figure  # type: ignore[attr-defined]
    assert isinstance(figure, Figure)
    return figure


def of_probe() -> Figure:
    spaces = ["features of D, all layers, pooled to 4 x 4", "pixels", "LeNet-5", "an untrained D"]
    rows = [(space, n, s, 0.5 + s / 9) for space in spaces for n in (1, 10) for s in (0, 1)]
    table = pd.DataFrame(rows, columns=["space", "labels_per_class", "split", "accuracy"])
    return label_efficiency(table, TITLE, "")


def of_shift() -> Figure:
    images = np.zeros((2, 3, 8, 8, 1), np.uint8)
    return class_shift(images, [-1, 0, 1], [0, 0.5, 1], [0.5, 0.5, 0.5], TITLE, "")


FIGURES: dict[str, Callable[[], Figure]] = {
    "losses of a run": lambda: loss_curves(run_steps(), TITLE),
    "scores of a run": lambda: score_curves(run_steps(), TITLE),
    "evaluations of a run": lambda: evaluation_curves(run_steps(), {}, TITLE),
    "losses of arms": lambda: of_arms(loss_bands, [3, 3]),
    "losses of many arms": lambda: of_arms(loss_bands, [3] * 8),
    "scores of arms": lambda: of_arms(score_bands, [3, 3]),
    "scores of many arms": lambda: of_arms(score_bands, [3] * 8),
    "label efficiency": of_probe,
    "class shift": of_shift,
}


def legend_boxes(axes: Axes) -> list[Bbox]:
    legend = axes.get_legend()
    return [legend.get_window_extent()] if legend else []


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_a_legend_covers_nothing(draw: Callable[[], Figure]) -> None:
    figure = draw()
    figure.draw_without_rendering()
    legends = [box for axes in figure.axes for box in legend_boxes(axes)]
    assert legends
    titles = [figure._suptitle] if figure.get_suptitle() else []  # type: ignore[attr-defined]
    titles += [axes._left_title for axes in figure.axes if axes.get_title(loc="left")]  # type: ignore[attr-defined]
    others = [axes.patch.get_window_extent() for axes in figure.axes]
    others += [title.get_window_extent() for title in titles]
    others += [
        label.get_window_extent()
        for axes in figure.axes
        for label in (*axes.get_xticklabels(), axes.xaxis.label)
        if label.get_visible() and label.get_text()
    ]
    for box in legends:
        for other in others:
            assert not box.padded(-1).overlaps(other), (box, other)
        assert figure.bbox.padded(1).containsx(box.x0)
        assert figure.bbox.padded(1).containsx(box.x1)
        assert figure.bbox.padded(1).containsy(box.y1)
