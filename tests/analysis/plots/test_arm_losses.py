"""Losses of arms: what is drawn is read back from the figures' artists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.plots.arm_losses import loss_bands
from analysis.plots.figure_file import save
from tests.support.drawn_arms import (
    arms_with_steps,
    epoch_means,
    legend_texts,
    line,
    line_names,
    note,
)
from tracking.events import BATCH, EPOCH


def test_a_median_is_the_median_over_the_seeds() -> None:
    arms, steps = arms_with_steps([4, 3])

    picture = loss_bands(arms, steps)

    generator, discriminator, both = picture.figure.axes
    for arm, count in ((0, 4), (1, 3)):
        for metric, panels in (("Gloss", (generator, both)), ("Dloss", (discriminator, both))):
            values = [epoch_means(steps[f"run-{arm}-{seed}"], metric) for seed in range(count)]
            for axes in panels:
                drawn = line(axes, f"median/{metric}/arm {arm}")
                np.testing.assert_array_equal(drawn.get_xdata(), np.arange(1, 21))
                np.testing.assert_allclose(drawn.get_ydata(), np.median(values, axis=0))
    assert len(line_names(generator, "seed")) == 7
    assert line_names(both, "seed") == []
    assert not generator.collections
    drawn = line(generator, "seed 2/Gloss/arm 0")
    np.testing.assert_array_equal(drawn.get_ydata(), epoch_means(steps["run-0-2"], "Gloss"))


def test_many_seeds_are_bands() -> None:
    arms, steps = arms_with_steps([9])

    picture = loss_bands(arms, steps)

    axes = picture.figure.axes[0]
    assert line_names(axes, "seed") == []
    whole, half = axes.collections
    values = [epoch_means(steps[run], "Gloss") for run in steps]
    for band, low, high in (
        (whole, np.min(values, axis=0), np.max(values, axis=0)),
        (half, np.quantile(values, 0.25, axis=0), np.quantile(values, 0.75, axis=0)),
    ):
        corners = band.get_paths()[0].vertices
        for epoch in (1, 10, 20):
            heights = corners[corners[:, 0] == epoch, 1]
            assert heights.min() == pytest.approx(low[epoch - 1])
            assert heights.max() == pytest.approx(high[epoch - 1])
    assert "bands: the middle half" in note(picture)
    assert "full range" in note(picture)
    assert "9 seeds" in note(picture)


def test_of_many_arms_only_the_middle_half_is_a_band() -> None:
    picture = loss_bands(*arms_with_steps([6, 6, 6, 6]))

    assert len(picture.figure.axes[0].collections) == 4
    assert set(picture.data["line"]) == {"median", "lower quartile", "upper quartile"}
    assert "full range" not in note(picture)


def test_labels_legend_and_footnote() -> None:
    picture = loss_bands(*arms_with_steps([2, 1]))

    assert [axes.get_ylabel() for axes in picture.figure.axes] == ["loss of G", "loss of D", "loss"]
    assert picture.figure.axes[-1].get_xlabel() == "epoch"
    assert legend_texts(picture) == ["arm 0 (2 seeds)", "arm 1 (1 seed)"]
    assert note(picture).startswith("1 to 2 seeds per arm; epoch means.")
    assert picture.alt.endswith(".")
    assert "2 arms" in picture.alt


def test_one_seed_is_said_to_be_one(tmp_path: Path) -> None:
    picture = loss_bands(*arms_with_steps([1]))

    save(picture, tmp_path)
    assert note(picture).startswith("One seed per arm;")
    assert line_names(picture.figure.axes[0], "seed") == []


def test_without_epochs_batches_are_drawn() -> None:
    arms, steps = arms_with_steps([2], epochs=1)

    picture = loss_bands(arms, steps)

    axes = picture.figure.axes[0]
    assert len(line(axes, "median/Gloss/arm 0").get_xdata()) == 5
    assert picture.figure.axes[-1].get_xlabel() == "step (batches)"
    assert "single batches" in note(picture)
    assert "step" in picture.data


def test_runs_of_unequal_length_count_as_far_as_they_got() -> None:
    arms, steps = arms_with_steps([3])
    steps["run-0-1"] = steps["run-0-1"].iloc[:50]

    picture = loss_bands(arms, steps)

    drawn = line(picture.figure.axes[0], "median/Gloss/arm 0").get_ydata()
    late = [epoch_means(steps[run], "Gloss")[15] for run in ("run-0-0", "run-0-2")]
    assert np.asarray(drawn)[15] == pytest.approx(np.median(late))
    rows = picture.data.query("line == 'median' and metric == 'Gloss'")
    assert rows.set_index("epoch")["runs"].to_dict()[10] == 3
    assert rows.set_index("epoch")["runs"].to_dict()[16] == 2


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("count", [3, 9])
def test_broken_and_collapsed_runs_are_marked(broken: float, count: int, tmp_path: Path) -> None:
    arms, steps = arms_with_steps([count])
    steps["run-0-1"].loc[60:, [f"{BATCH}/Gloss", f"{EPOCH}/Gloss"]] = broken

    picture = loss_bands(arms, steps, collapsed=["run-0-2"])

    save(picture, tmp_path)
    generator, discriminator, _ = picture.figure.axes
    cross = line(generator, "not finite/Gloss/run-0-1")
    assert np.asarray(cross.get_xdata()).tolist() == [13]
    assert line_names(discriminator, "not finite") == []
    ring = line(generator, "collapsed/Gloss/run-0-2")
    last = epoch_means(steps["run-0-2"], "Gloss")[-1]
    assert (np.asarray(ring.get_xdata())[0], np.asarray(ring.get_ydata())[0]) == (20, last)
    assert "seed 2/Gloss/arm 0" in line_names(generator, "seed")
    assert legend_texts(picture)[1:] == ["first value not finite", "collapsed"]
    assert np.isfinite(line(generator, "median/Gloss/arm 0").get_ydata()).all()
    assert ("runs that collapsed or ceased to be finite" in note(picture)) == (count > 5)


def test_a_planted_spike_survives_the_thinning() -> None:
    arms, steps = arms_with_steps([2, 7], epochs=1, steps_per_epoch=30_000)
    for run in ("run-0-1", "run-1-4"):
        steps[run].loc[12_345, f"{BATCH}/Gloss"] = 14.0

    picture = loss_bands(arms, steps)

    axes = picture.figure.axes[0]
    single = line(axes, "seed 1/Gloss/arm 0")
    assert len(single.get_xdata()) < 5_000
    assert np.asarray(single.get_ydata())[np.asarray(single.get_xdata()) == 12_346] == 14.0
    whole = axes.collections[0].get_paths()[0].vertices
    assert whole[whole[:, 0] == 12_346, 1].max() == 14.0


def test_losses_over_orders_of_magnitude_have_a_logarithmic_axis() -> None:
    arms, steps = arms_with_steps([2])
    assert loss_bands(arms, steps).figure.axes[0].get_yscale() == "linear"
    steps["run-0-1"].loc[99, f"{EPOCH}/Gloss"] = 1e5

    generator, discriminator, _ = loss_bands(arms, steps).figure.axes

    assert generator.get_yscale() == "log"
    assert generator.get_ylabel() == "loss of G (log scale)"
    assert discriminator.get_yscale() == "linear"
