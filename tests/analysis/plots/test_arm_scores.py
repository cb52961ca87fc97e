"""Scores of arms: what is drawn is read back from the figures' artists."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.arms import Arm
from analysis.plots.arm_losses import loss_bands
from analysis.plots.arm_scores import score_bands
from analysis.plots.figure_file import save
from tests.support.drawn_arms import (
    METRICS,
    arms_with_steps,
    legend_texts,
    line,
    line_names,
    note,
    step_table,
)
from tracking.events import EPOCH


def approaching(nearest: int, epochs: int = 100) -> pd.DataFrame:
    """A run of which D(x) - D(G(z)) is smallest at this epoch."""
    distance = 0.2 + 0.006 * np.abs(np.arange(1, epochs + 1) - (nearest - 0.5))
    values = np.full((epochs, len(METRICS)), 0.5)
    values[:, 2], values[:, 3] = 0.5 + distance / 2, 0.5 - distance / 2
    return step_table(values, steps_per_epoch=1)


def test_the_epoch_at_which_both_are_nearest() -> None:
    epochs = {"a": 20, "b": 30, "c": 70}
    steps = {run: approaching(epoch) for run, epoch in epochs.items()}

    picture = score_bands([Arm.from_seeds("arm", {"a": 0, "b": 1, "c": 2})], steps)

    scores, distance, rug = picture.figure.axes
    assert np.asarray(line(rug, "nearest/arm").get_xdata()).tolist() == [20, 30, 70]
    assert np.asarray(line(rug, "median nearest/arm").get_xdata()).tolist() == [30]
    assert "30 in arm" in picture.alt
    assert line_names(scores, "median") == ["median/D_x/arm", "median/D_G_z1/arm"]
    # Windows of ten epochs: the first is full at epoch 10 and stands at its middle.
    assert np.asarray(line(distance, "median/smoothed |D_x - D_G_z1|/arm").get_xdata())[0] == 6
    assert scores.get_ylabel() == "D's output (probability)"
    rows = picture.data.query("metric == 'nearest'").set_index("line")["epoch"]
    assert rows.to_dict() == {"seed 0": 20, "seed 1": 30, "seed 2": 70, "median": 30}


def test_the_published_range_is_shaded_when_asked() -> None:
    steps = {"a": approaching(20)}
    arms = [Arm("arm", (), ("a",), (0,))]

    assert all(not axes.patches for axes in score_bands(arms, steps).figure.axes)
    picture = score_bands(arms, steps, published=(70, 90))

    for axes in picture.figure.axes:
        (shaded,) = axes.patches
        assert (shaded.get_x(), shaded.get_width()) == (70, 20)
    assert legend_texts(picture)[-1] == "published: epochs 70 to 90"


def test_scores_of_few_epochs_have_no_nearest() -> None:
    picture = score_bands(*arms_with_steps([2], epochs=9), published=(70, 90))

    (scores,) = picture.figure.axes
    assert len(line_names(scores, "median")) == 2
    assert "No run has the 10 epochs" in note(picture)


def test_the_scores_of_a_critic_have_no_line_at_a_half() -> None:
    arms, steps = arms_with_steps([2])
    steps["run-0-0"].loc[99, f"{EPOCH}/D_x"] = 7.5

    axes = score_bands(arms, steps).figure.axes[0]

    assert not any(list(each.get_ydata()) == [0.5, 0.5] for each in axes.lines)
    assert axes.get_ylim()[1] > 7.5
    assert axes.get_ylabel() == "D's output"


@pytest.mark.parametrize("draw", [loss_bands, score_bands])
def test_nothing_and_never_finite_can_be_drawn(draw, tmp_path: Path) -> None:
    dead = step_table(np.full((30, len(METRICS)), np.nan), steps_per_epoch=1)
    empty = pd.DataFrame({"run": [], "step": pd.Series(dtype="int64")})
    for steps in ({}, {"a": empty}, {"a": dead}, {"a": dead, "b": approaching(12), "c": empty}):
        seeds = {run: position for position, run in enumerate(steps)}
        arms = [Arm.from_seeds("arm", seeds)] if seeds else []
        picture = draw(arms, steps)
        save(picture, tmp_path)
        assert picture.alt.endswith(".")


@pytest.mark.parametrize("count", [2, 14])
@pytest.mark.parametrize("label", ["init.scheme={}", "optimizer.lr=0.0001, init.scheme={}"])
def test_long_labels_of_nearest_epochs_do_not_overlap(label: str, count: int) -> None:
    arms, steps = arms_with_steps((1,) * count)
    names = [label.format(f"default{place}") for place in range(count)]
    renamed = [replace(arm, label=name) for arm, name in zip(arms, names, strict=True)]
    figure = score_bands(renamed, steps).figure
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[2].get_yticklabels()]
    assert len(boxes) == count
    assert not any(first.overlaps(second) for first, second in pairwise(boxes))
