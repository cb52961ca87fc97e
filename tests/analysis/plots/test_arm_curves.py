"""Curves of many runs: what is drawn is read back from the figures' artists."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from analysis.bands import band_of, moving_average
from analysis.plots.arm_curves import LOSS_NOTE, loss_bands, score_bands
from analysis.plots.arm_style import arms_of
from analysis.plots.axes import wrapped
from analysis.plots.figure_file import FigureFile, save
from analysis.series import Series
from tracking.events import BATCH, EPOCH

METRICS = ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2")


def table(values: npt.NDArray[np.float64], steps_per_epoch: int = 0) -> pd.DataFrame:
    """A step table. values: (steps, 5), a column a metric; epochs: 0 for none."""
    steps = np.arange(1, len(values) + 1)
    frame = pd.DataFrame({"run": "run", "step": steps})
    for position, metric in enumerate(METRICS):
        frame[f"{BATCH}/{metric}"] = values[:, position]
    if steps_per_epoch:
        ends = steps % steps_per_epoch == 0
        frame[f"{EPOCH}/number"] = np.where(ends, steps // steps_per_epoch, np.nan)
        for position, metric in enumerate(METRICS):
            means = pd.Series(values[:, position]).rolling(steps_per_epoch).mean()
            frame[f"{EPOCH}/{metric}"] = np.where(ends, means, np.nan)
    return frame


def runs_of(
    counts: Sequence[int], epochs: int = 20, steps_per_epoch: int = 5
) -> tuple[dict[str, pd.DataFrame], dict[str, str], dict[str, int]]:
    """Tables, labels `arm 0`, `arm 1`, ..., and seeds 0, 1, ... of so many runs an arm."""
    generator = np.random.default_rng(0)
    steps, arms, seeds = {}, {}, {}
    for arm, count in enumerate(counts):
        for seed in range(count):
            run = f"run-{arm}-{seed}"
            values = generator.uniform(0.2, 0.8, (epochs * steps_per_epoch, len(METRICS)))
            steps[run] = table(values, steps_per_epoch)
            arms[run], seeds[run] = f"arm {arm}", seed
    return steps, arms, seeds


def means(frame: pd.DataFrame, metric: str) -> npt.NDArray[np.float64]:
    return frame[f"{EPOCH}/{metric}"].dropna().to_numpy()


def line(axes: Axes, name: str) -> Line2D:
    (found,) = [each for each in axes.lines if each.get_gid() == name]
    return found


def names(axes: Axes, beginning: str) -> list[str]:
    ids = [str(each.get_gid()) for each in axes.lines]
    return [each for each in ids if each.startswith(beginning)]


def note(picture: FigureFile) -> str:
    return picture.figure.get_supxlabel().replace("\n", " ")


def legend(picture: FigureFile) -> list[str]:
    found = picture.figure.axes[0].get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def test_a_median_is_the_median_over_the_seeds() -> None:
    steps, arms, seeds = runs_of([4, 3])

    picture = loss_bands(steps, arms, seeds)

    generator, discriminator, both = picture.figure.axes
    for arm, count in ((0, 4), (1, 3)):
        for metric, panels in (("Gloss", (generator, both)), ("Dloss", (discriminator, both))):
            values = [means(steps[f"run-{arm}-{seed}"], metric) for seed in range(count)]
            for axes in panels:
                drawn = line(axes, f"median/{metric}/arm {arm}")
                np.testing.assert_array_equal(drawn.get_xdata(), np.arange(1, 21))
                np.testing.assert_allclose(drawn.get_ydata(), np.median(values, axis=0))
    assert len(names(generator, "seed")) == 7
    assert names(both, "seed") == []
    assert not generator.collections
    drawn = line(generator, "seed 2/Gloss/arm 0")
    np.testing.assert_array_equal(drawn.get_ydata(), means(steps["run-0-2"], "Gloss"))


def test_many_seeds_are_bands() -> None:
    steps, arms, seeds = runs_of([9])

    picture = loss_bands(steps, arms, seeds)

    axes = picture.figure.axes[0]
    assert names(axes, "seed") == []
    whole, half = axes.collections
    values = [means(steps[run], "Gloss") for run in steps]
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
    assert "9 seeds" in note(picture)


def test_of_many_arms_only_the_middle_half_is_a_band() -> None:
    picture = loss_bands(*runs_of([6, 6, 6, 6]))

    assert len(picture.figure.axes[0].collections) == 4
    assert set(picture.data["line"]) == {"median", "lower quartile", "upper quartile"}
    assert "all of them" not in note(picture)


def test_arms_differ_in_colour_in_dashes_and_in_markers() -> None:
    picture = loss_bands(*runs_of([1, 1, 1, 1]))

    medians = [each for each in picture.figure.axes[0].lines if "median" in str(each.get_gid())]
    assert len({to_hex(each.get_color()) for each in medians}) == 4
    assert len({str(each._unscaled_dash_pattern) for each in medians}) == 4
    assert len({each.get_marker() for each in medians}) == 4


def test_labels_legend_and_footnote() -> None:
    picture = loss_bands(*runs_of([2, 1]))

    assert [axes.get_ylabel() for axes in picture.figure.axes] == ["loss of G", "loss of D", "loss"]
    assert picture.figure.axes[-1].get_xlabel() == "epoch"
    assert legend(picture) == ["arm 0 (2 seeds)", "arm 1 (1 seed)"]
    assert LOSS_NOTE in note(picture)
    assert note(picture).startswith("1 to 2 seeds an arm, means of epochs.")
    assert picture.alt.endswith(".")
    assert "2 arms" in picture.alt


def test_one_seed_is_called_an_anecdote(tmp_path: Path) -> None:
    picture = loss_bands(*runs_of([1]))

    save(picture, tmp_path)
    assert "anecdote" in note(picture)
    assert names(picture.figure.axes[0], "seed") == []


def test_without_epochs_batches_are_drawn() -> None:
    steps, arms, seeds = runs_of([2], epochs=1)

    picture = loss_bands(steps, arms, seeds)

    axes = picture.figure.axes[0]
    assert len(line(axes, "median/Gloss/arm 0").get_xdata()) == 5
    assert picture.figure.axes[-1].get_xlabel() == "step (batches)"
    assert "single batches" in note(picture)
    assert "step" in picture.data


def test_runs_of_unequal_length_count_as_far_as_they_got() -> None:
    steps, arms, seeds = runs_of([3])
    steps["run-0-1"] = steps["run-0-1"].iloc[:50]

    picture = loss_bands(steps, arms, seeds)

    drawn = line(picture.figure.axes[0], "median/Gloss/arm 0").get_ydata()
    late = [means(steps[run], "Gloss")[15] for run in ("run-0-0", "run-0-2")]
    assert np.asarray(drawn)[15] == pytest.approx(np.median(late))
    rows = picture.data.query("line == 'median' and metric == 'Gloss'")
    assert rows.set_index("epoch")["runs"].to_dict()[10] == 3
    assert rows.set_index("epoch")["runs"].to_dict()[16] == 2


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("count", [3, 9])
def test_broken_and_collapsed_runs_are_marked(broken: float, count: int, tmp_path: Path) -> None:
    steps, arms, seeds = runs_of([count])
    steps["run-0-1"].loc[60:, [f"{BATCH}/Gloss", f"{EPOCH}/Gloss"]] = broken

    picture = loss_bands(steps, arms, seeds, collapsed=["run-0-2"])

    save(picture, tmp_path)
    generator, discriminator, _ = picture.figure.axes
    cross = line(generator, "not finite/Gloss/run-0-1")
    assert np.asarray(cross.get_xdata()).tolist() == [13]
    assert names(discriminator, "not finite") == []
    ring = line(generator, "collapsed/Gloss/run-0-2")
    last = means(steps["run-0-2"], "Gloss")[-1]
    assert (np.asarray(ring.get_xdata())[0], np.asarray(ring.get_ydata())[0]) == (20, last)
    assert "seed 2/Gloss/arm 0" in names(generator, "seed")
    assert legend(picture)[1:] == ["first value not finite", "collapsed"]
    assert np.isfinite(line(generator, "median/Gloss/arm 0").get_ydata()).all()
    assert ("runs that broke or collapsed" in note(picture)) == (count > 5)


def test_a_planted_spike_survives_the_thinning() -> None:
    steps, arms, seeds = runs_of([2, 7], epochs=1, steps_per_epoch=30_000)
    for run in ("run-0-1", "run-1-4"):
        steps[run].loc[12_345, f"{BATCH}/Gloss"] = 14.0

    picture = loss_bands(steps, arms, seeds)

    axes = picture.figure.axes[0]
    single = line(axes, "seed 1/Gloss/arm 0")
    assert len(single.get_xdata()) < 5_000
    assert np.asarray(single.get_ydata())[np.asarray(single.get_xdata()) == 12_346] == 14.0
    whole = axes.collections[0].get_paths()[0].vertices
    assert whole[whole[:, 0] == 12_346, 1].max() == 14.0


def test_losses_over_orders_of_magnitude_have_a_logarithmic_axis() -> None:
    steps, arms, seeds = runs_of([2])
    assert loss_bands(steps, arms, seeds).figure.axes[0].get_yscale() == "linear"
    steps["run-0-1"].loc[99, f"{EPOCH}/Gloss"] = 1e5

    generator, discriminator, _ = loss_bands(steps, arms, seeds).figure.axes

    assert generator.get_yscale() == "log"
    assert generator.get_ylabel() == "loss of G (log scale)"
    assert discriminator.get_yscale() == "linear"


def approaching(nearest: int, epochs: int = 100) -> pd.DataFrame:
    """A run of which D(x) - D(G(z)) is smallest at this epoch."""
    distance = 0.2 + 0.006 * np.abs(np.arange(1, epochs + 1) - (nearest - 0.5))
    values = np.full((epochs, len(METRICS)), 0.5)
    values[:, 2], values[:, 3] = 0.5 + distance / 2, 0.5 - distance / 2
    return table(values, steps_per_epoch=1)


def test_the_epoch_at_which_both_are_nearest() -> None:
    epochs = {"a": 20, "b": 30, "c": 70}
    steps = {run: approaching(epoch) for run, epoch in epochs.items()}

    picture = score_bands(steps, dict.fromkeys(steps, "arm"), {"a": 0, "b": 1, "c": 2})

    scores, distance, rug = picture.figure.axes
    assert np.asarray(line(rug, "nearest/arm").get_xdata()).tolist() == [20, 30, 70]
    assert np.asarray(line(rug, "median nearest/arm").get_xdata()).tolist() == [30]
    assert "30 in arm" in picture.alt
    assert names(scores, "median") == ["median/D_x/arm", "median/D_G_z1/arm"]
    # Windows of ten epochs: the first is full at epoch 10 and stands at its middle.
    assert np.asarray(line(distance, "median/smoothed D_x - D_G_z1/arm").get_xdata())[0] == 6
    assert scores.get_ylabel() == "D's output (probability)"
    rows = picture.data.query("metric == 'nearest'").set_index("line")["epoch"]
    assert rows.to_dict() == {"seed 0": 20, "seed 1": 30, "seed 2": 70, "median": 30}


def test_the_published_range_is_shaded_when_asked() -> None:
    steps = {"a": approaching(20)}
    arms, seeds = {"a": "arm"}, {"a": 0}

    assert all(not axes.patches for axes in score_bands(steps, arms, seeds).figure.axes)
    picture = score_bands(steps, arms, seeds, published=(70, 90))

    for axes in picture.figure.axes:
        (shaded,) = axes.patches
        assert (shaded.get_x(), shaded.get_width()) == (70, 20)
    assert legend(picture)[-1] == "published: epochs 70 to 90"


def test_scores_of_few_epochs_have_no_nearest() -> None:
    picture = score_bands(*runs_of([2], epochs=9), published=(70, 90))

    (scores,) = picture.figure.axes
    assert len(names(scores, "median")) == 2
    assert "No run has the 10 epochs" in note(picture)


def test_the_scores_of_a_critic_have_no_line_at_a_half() -> None:
    steps, arms, seeds = runs_of([2])
    steps["run-0-0"].loc[99, f"{EPOCH}/D_x"] = 7.5

    axes = score_bands(steps, arms, seeds).figure.axes[0]

    assert not any(list(each.get_ydata()) == [0.5, 0.5] for each in axes.lines)
    assert axes.get_ylim()[1] > 7.5
    assert axes.get_ylabel() == "D's output"


@pytest.mark.parametrize("draw", [loss_bands, score_bands])
def test_nothing_and_never_finite_can_be_drawn(draw, tmp_path: Path) -> None:
    dead = table(np.full((30, len(METRICS)), np.nan), steps_per_epoch=1)
    empty = pd.DataFrame({"run": [], "step": pd.Series(dtype="int64")})
    for steps in ({}, {"a": empty}, {"a": dead}, {"a": dead, "b": approaching(12), "c": empty}):
        arms = dict.fromkeys(steps, "arm")
        seeds = {run: position for position, run in enumerate(steps)}
        picture = draw(steps, arms, seeds)
        save(picture, tmp_path)
        assert picture.alt.endswith(".")


def test_two_arms_with_one_label_are_refused() -> None:
    steps, arms, seeds = runs_of([2, 2])
    with pytest.raises(ValueError, match="same label"):
        loss_bands(steps, dict.fromkeys(arms, "arm"), seeds)
    blank = {run: label.replace(" 0", " 1 ") for run, label in arms.items()}
    with pytest.raises(ValueError, match="same label"):
        score_bands(steps, blank, seeds)


def test_a_run_without_arm_or_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="no arm: b"):
        arms_of(["a", "b"], {"a": "arm"}, {"a": 0, "b": 0})
    with pytest.raises(ValueError, match="no seed: b"):
        arms_of(["a", "b"], {"a": "arm", "b": "arm"}, {"a": 0})


def test_labels_are_no_formulas_and_may_begin_with_an_underscore(tmp_path: Path) -> None:
    steps, _, seeds = runs_of([1, 1])
    arms = {"run-0-0": "_hidden $\\bad{", "run-1-0": "a very long label of an arm " * 6 + "$x$"}

    for draw in (loss_bands, score_bands):
        picture = draw(steps, arms, seeds, title="$\\bad{")
        save(picture, tmp_path)
        assert legend(picture)[0] == "_hidden $\\bad{ (1 seed)"
        assert max(len(line) for line in legend(picture)[1].splitlines()) < 60


def test_many_arms_do_not_squash_the_panels(tmp_path: Path) -> None:
    heights = []
    for count in (2, 16):
        picture = score_bands(*runs_of([1] * count, epochs=9))
        save(picture, tmp_path)
        axes = picture.figure.axes[0]
        heights.append(axes.get_position().height * picture.figure.get_figheight())
    assert heights[1] > 0.9 * heights[0]


def test_labels_break_where_a_reader_would() -> None:
    assert wrapped("network.latent_size", 12) == "network.\nlatent_size"
    assert wrapped("lr 2.5e-4", 20) == "lr 2.5e-4"
    assert wrapped("abcdefghij", 4) == "abcd\nefgh\nij"


def test_quartiles_are_those_of_numpy_over_what_is_finite() -> None:
    values = np.random.default_rng(0).normal(size=(7, 50))
    values[2, 10:] = np.nan
    values[3, 20:30] = np.inf
    values[:, 40] = np.nan

    band = band_of([Series(np.arange(50), row) for row in values])

    finite = np.where(np.isfinite(values), values, np.nan)
    filled = np.arange(50) != 40
    for fraction, drawn in ((0.25, band.lower_quartile), (0.75, band.upper_quartile)):
        expected = np.nanquantile(finite[:, filled], fraction, axis=0)
        np.testing.assert_allclose(drawn[filled], expected)
    assert band.runs[[0, 15, 25, 40]].tolist() == [7, 6, 5, 0]
    assert np.isnan(band.median[40])


def test_a_window_with_a_gap_is_no_mean() -> None:
    values = np.arange(30.0)
    values[15] = np.inf

    series = moving_average(Series(np.arange(1, 31), values))

    assert series.steps.tolist() == list(range(6, 27))
    assert series.values[0] == pytest.approx(4.5)
    assert np.flatnonzero(np.isnan(series.values)).tolist() == list(range(6, 16))


def test_the_saved_numbers_are_those_drawn(tmp_path: Path) -> None:
    picture = loss_bands(*runs_of([3, 7]))

    png, svg, csv = save(picture, tmp_path / "new")

    assert sorted((tmp_path / "new").iterdir()) == sorted([png, svg, csv])
    frame = pd.read_csv(csv)
    for axes, metric in zip(picture.figure.axes, ("Gloss", "Dloss"), strict=False):
        for drawn in axes.lines:
            name, _, arm = str(drawn.get_gid()).split("/")
            wanted = {"metric": metric, "line": name, "arm": arm}
            rows = frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
            np.testing.assert_allclose(rows["value"], drawn.get_ydata())
            np.testing.assert_allclose(rows["epoch"], drawn.get_xdata())
    edges = frame.query("metric == 'Gloss' and line == 'maximum'")
    assert edges["arm"].unique().tolist() == ["arm 1"]
    with PIL.Image.open(png) as image:
        assert image.width == 1_400
        assert image.info["Description"] == picture.alt
    assert picture.alt in svg.read_text(encoding="utf-8")


def test_the_same_runs_give_the_same_files(tmp_path: Path) -> None:
    first = save(loss_bands(*runs_of([3])), tmp_path / "first")
    second = save(loss_bands(*runs_of([3])), tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    code = (
        "import sys, matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        "from analysis import arm_grids, value_plots\n"
        "from analysis.plots.arm_curves import loss_bands\n"
        "loss_bands({}, {}, {})\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "assert not {'torch', 'mlflow', 'neptune', 'dcgan'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
