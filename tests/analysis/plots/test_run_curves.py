"""Losses and scores of one run: what is drawn is read back from the figures' artists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis.plots import style
from analysis.plots.run import (
    loss_curves,
    score_curves,
)
from tests.support.drawn_run import (
    legend_texts,
    line_data,
    random_values,
    title_and_note,
    write_run,
)
from tracking.backends.local import read_steps
from tracking.events import BATCH, EPOCH


@pytest.fixture
def steps(tmp_path: Path) -> pd.DataFrame:
    return read_steps(write_run(tmp_path / "run", random_values(250)))


def test_losses_stand_apart_and_together(steps: pd.DataFrame) -> None:
    figure = loss_curves(steps, "first")

    generator, discriminator, both = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Generator",
        "Discriminator",
        "Both",
    ]
    for axes, metrics in (
        (generator, ["Gloss"]),
        (discriminator, ["Dloss"]),
        (both, ["Gloss", "Dloss"]),
    ):
        expected = {f"{kind}/{metric}" for kind in ("batch", "epoch") for metric in metrics}
        assert {line.get_gid() for line in axes.lines} == expected
    for metric, axes in (("Gloss", generator), ("Dloss", both)):
        x, y = line_data(axes, f"batch/{metric}")
        assert x == list(range(1, 251))
        assert y == steps[f"{BATCH}/{metric}"].tolist()
        x, y = line_data(axes, f"epoch/{metric}")
        assert x == [100, 200]
        assert y == steps[f"{EPOCH}/{metric}"].dropna().tolist()
    assert legend_texts(both) == ["G", "D"]


def test_g_and_d_keep_their_colours(steps: pd.DataFrame) -> None:
    for axes in loss_curves(steps).axes:
        for drawn in axes.lines:
            is_generator = str(drawn.get_gid()).endswith("Gloss")
            expected = style.GENERATOR if is_generator else style.DISCRIMINATOR
            assert to_hex(drawn.get_color()) == expected


def test_epochs_stand_below_the_steps(steps: pd.DataFrame, tmp_path: Path) -> None:
    figure = loss_curves(steps)
    figure.savefig(tmp_path / "figure.png")

    (epochs,) = figure.axes[-1].child_axes
    assert epochs.get_xlabel() == "epoch"
    assert epochs.get_xlim() == pytest.approx((-0.025, 2.525))  # 250 steps of 100, with margins


def test_a_run_in_its_first_epoch_has_steps_alone(tmp_path: Path) -> None:
    steps = read_steps(write_run(tmp_path / "run", random_values(60)))

    figure = loss_curves(steps)

    assert figure.axes[-1].child_axes == []
    assert legend_texts(figure.axes[-1]) == ["G", "D"]
    assert "single batches" in title_and_note(figure)


def test_scores_have_the_line_of_a_blind_discriminator(steps: pd.DataFrame) -> None:
    figure = score_curves(steps)

    apart, at_step = figure.axes
    assert line_data(apart, "batch/D_x")[1] == steps[f"{BATCH}/D_x"].tolist()
    assert line_data(apart, "batch/D_G_z1")[1] == steps[f"{BATCH}/D_G_z1"].tolist()
    assert line_data(at_step, "batch/D_G_z2")[1] == steps[f"{BATCH}/D_G_z2"].tolist()
    assert legend_texts(apart) == ["D(x)", "D(G(z))"]
    assert legend_texts(at_step) == ["before", "after"]
    for axes in figure.axes:
        assert any(list(drawn.get_ydata()) == [0.5, 0.5] for drawn in axes.lines)
        bottom, top = axes.get_ylim()
        assert bottom < 0
        assert top > 1


def test_the_scores_of_a_critic_have_no_line_at_a_half_and_are_all_seen(tmp_path: Path) -> None:
    values = random_values(100)
    values[:, 2] = 7.5  # D(x)
    figure = score_curves(read_steps(write_run(tmp_path / "run", values)))
    for axes in figure.axes:
        assert not any(list(drawn.get_ydata()) == [0.5, 0.5] for drawn in axes.lines)
        assert axes.get_ylim()[1] > 7.5
    assert "no probabilities" in title_and_note(figure)


def test_a_long_run_is_thinned_and_keeps_its_spike(tmp_path: Path) -> None:
    values = random_values(100_000)
    values[60_000] = 14.0
    steps = read_steps(write_run(tmp_path / "run", values, steps_per_epoch=1_583))
    for axes in loss_curves(steps).axes:
        for drawn in axes.lines:
            x, y = drawn.get_data()
            assert len(x) < 5_000
            if str(drawn.get_gid()).startswith("batch"):
                assert np.asarray(y)[np.asarray(x) == 60_001] == 14.0


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_diverged_run_says_since_when(tmp_path: Path, broken: float) -> None:
    values = random_values(250)
    values[199:, 0] = broken
    steps = read_steps(write_run(tmp_path / "run", values))

    generator, discriminator, both = loss_curves(steps).axes

    for axes in (generator, both):
        assert legend_texts(axes)[-1] == "not finite: 51 steps, from 200"
        (hatched,) = axes.patches
        assert hatched.get_hatch()
        assert hatched.get_x() == 199.5
        assert hatched.get_x() + hatched.get_width() == 250.5
        assert np.isnan(line_data(axes, "batch/Gloss")[1][199:]).all()
    assert len(discriminator.patches) == 0
    assert legend_texts(discriminator) == ["D"]


def test_a_single_nan_in_a_long_run_is_marked(tmp_path: Path) -> None:
    values = random_values(20_000)
    values[12_345] = np.nan
    steps = read_steps(write_run(tmp_path / "run", values, steps_per_epoch=1_000))

    for figure in (loss_curves(steps), score_curves(steps)):
        for axes in figure.axes:
            assert legend_texts(axes)[-1] == "not finite: 1 step, from 12,346"
            (hatched,) = axes.patches
            assert hatched.get_linewidth() > 0  # a step is narrower than a pixel


def test_thousands_of_nans_are_few_patches(tmp_path: Path) -> None:
    values = random_values(20_000)
    values[::2, 0] = np.nan
    steps = read_steps(write_run(tmp_path / "run", values, steps_per_epoch=1_000))

    generator = loss_curves(steps).axes[0]

    assert len(generator.patches) == 1
    assert legend_texts(generator)[-1] == "not finite: 10,000 steps, from 1"


@pytest.mark.parametrize("draw", [loss_curves, score_curves])
def test_runs_without_values_say_so(draw, tmp_path: Path) -> None:
    nothing = read_steps(write_run(tmp_path / "empty", random_values(0)))
    never_finite = read_steps(write_run(tmp_path / "dead", random_values(150) * np.nan))

    for steps in (nothing, never_finite):
        figure = draw(steps)
        figure.savefig(tmp_path / "figure.png")
        for axes in figure.axes:
            assert [text.get_text() for text in axes.texts] == ["no finite value"]
    assert legend_texts(draw(never_finite).axes[0])[-1] == "not finite: 150 steps, from 1"


def test_a_single_step_is_a_visible_point(tmp_path: Path) -> None:
    steps = read_steps(write_run(tmp_path / "run", random_values(1)))

    for figure in (loss_curves(steps), score_curves(steps)):
        figure.savefig(tmp_path / "figure.png")
        for axes in figure.axes:
            points = [drawn for drawn in axes.lines if drawn.get_gid()]
            assert points
            assert all(drawn.get_marker() == "o" for drawn in points)
            assert all(len(drawn.get_xdata()) == 1 for drawn in points)


def test_a_name_is_no_formula(steps: pd.DataFrame, tmp_path: Path) -> None:
    title = "a $\\bad{ name$ " * 20

    figure = loss_curves(steps, title)

    figure.savefig(tmp_path / "figure.png")
    assert max(map(len, figure.get_suptitle().splitlines())) <= 80
