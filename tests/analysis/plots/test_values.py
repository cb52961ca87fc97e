"""One value per run: what is drawn is read back from the figures' artists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from analysis.comparison.arms import Arm
from analysis.plots.figure_file import FigureFile, save
from analysis.plots.parallel_coordinates import parallel_coordinates
from analysis.plots.values import factor_intervals, paired_slopes


def arms_with(
    values: dict[str, list[float]], first_seed: int = 0
) -> tuple[list[Arm], dict[str, float]]:
    """Arms and values by run id, of values by arm in the order of the seeds."""
    arms, by_run = [], {}
    for label, arm_values in values.items():
        seeds = {f"{label}-{seed}": seed for seed, _ in enumerate(arm_values, first_seed)}
        arms.append(Arm.from_seeds(label, seeds))
        by_run |= dict(zip(seeds, arm_values, strict=True))
    return arms, by_run


def lines(axes: Axes, beginning: str) -> dict[str, Line2D]:
    by_name = {str(drawn.get_gid()): drawn for drawn in axes.lines}
    return {name: drawn for name, drawn in by_name.items() if name.startswith(beginning)}


def heights(drawn: Line2D) -> list[float]:
    return np.asarray(drawn.get_ydata()).tolist()


def ticks(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_xticklabels()]


def note(picture: FigureFile) -> str:
    return picture.caption


def test_seeds_are_joined_between_two_arms() -> None:
    values = arms_with({"plain": [1.0, 2.0, 4.0], "with": [2.0, 2.5, 6.0]})

    picture = paired_slopes(*values, metric="G loss", interval=(0.25, 2.0))

    slopes, beside = picture.figure.axes
    assert {gid: heights(drawn) for gid, drawn in lines(slopes, "seed").items()} == {
        "seed 0": [1.0, 2.0],
        "seed 1": [2.0, 2.5],
        "seed 2": [4.0, 6.0],
    }
    assert heights(lines(slopes, "arm/with")["arm/with"]) == [2.0, 2.5, 6.0]
    assert slopes.get_title("left").splitlines() == [
        "Mean difference +1.17 over 3 pairs",
        "95% interval +0.25 to +2",
    ]
    assert heights(lines(beside, "differences")["differences"]) == [1.0, 0.5, 2.0]
    assert heights(lines(beside, "mean")["mean difference"]) == [pytest.approx(3.5 / 3)]
    assert heights(lines(beside, "interval")["interval"]) == [0.25, 2.0]
    assert slopes.get_ylabel() == "G loss"
    assert ticks(slopes) == ["plain", "with"]
    assert picture.data["value"].tolist() == [1.0, 2.0, 4.0, 2.0, 2.5, 6.0]
    assert "with minus plain" in note(picture)


def test_without_an_interval_none_is_claimed() -> None:
    picture = paired_slopes(*arms_with({"a": [1.0], "b": [0.5]}), metric="loss")

    title = picture.figure.axes[0].get_title("left")
    assert title == "Mean difference \N{MINUS SIGN}0.5 over 1 pair"
    assert not lines(picture.figure.axes[1], "interval")
    assert "no interval" in note(picture)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_pair_with_a_broken_run_is_left_out_and_counted(broken: float, tmp_path: Path) -> None:
    picture = paired_slopes(*arms_with({"a": [1.0, 2.0], "b": [broken, 3.0]}), metric="loss")

    save(picture, tmp_path)
    assert heights(lines(picture.figure.axes[1], "diff")["differences"]) == [1.0]
    assert "Left out: 1 pair" in note(picture)


def test_pairs_without_any_finite_value_say_so(tmp_path: Path) -> None:
    picture = paired_slopes(*arms_with({"a": [np.nan], "b": [3.0]}), metric="loss")

    save(picture, tmp_path)
    assert [text.get_text() for text in picture.figure.axes[1].texts] == ["no finite value"]


@pytest.mark.parametrize(
    "values",
    [
        {"a": [1.0, 2.0], "b": [2.0, np.nan], "c": [4.0]},
        {"a": [1.0, 2.0], "b": [2.0]},
        {"a": [1.0, 2.0, 3.0]},
        {"a": [np.nan]},
        {},
    ],
)
def test_other_arms_are_strips_beside_boxes(values: dict[str, list[float]], tmp_path: Path) -> None:
    picture = paired_slopes(*arms_with(values), metric="loss", interval=(0.0, 1.0))

    save(picture, tmp_path)
    (axes,) = picture.figure.axes
    assert ticks(axes) == list(values)
    assert axes.get_title("left") == ""
    for arm, arm_values in values.items():
        finite = [value for value in arm_values if np.isfinite(value)]
        drawn = lines(axes, f"arm/{arm}")
        assert [heights(dots) for dots in drawn.values()] == ([finite] if finite else [])
    # The tests of three arms, or of an arm that lacks a seed, do pair them.
    assert "paired" not in note(picture)
    assert ("same seed are not joined" in note(picture)) == (len(values) > 1)


def test_two_arms_with_one_label_are_refused() -> None:
    (first, second), values = arms_with({"a": [1.0], "b": [2.0]})
    with pytest.raises(ValueError, match="same label"):
        paired_slopes([first, replace(second, label="a")], values, metric="loss")


RATES = (1e-4, 1e-3, 1e-2)


def arm_of_factor(value: float, seeds: dict[str, int]) -> Arm:
    return Arm.from_seeds(f"factor={value}", seeds, (value,))


def sweep_of_rates() -> tuple[list[Arm], dict[str, float]]:
    arms = [arm_of_factor(rate, {f"{rate}-{seed}": seed for seed in range(3)}) for rate in RATES]
    return arms, {f"{rate}-{seed}": rate * 100 + seed for rate in RATES for seed in range(3)}


def test_a_factor_has_its_means_intervals_and_collapsed_runs() -> None:
    arms, values = sweep_of_rates()
    values["0.01-0"] = np.nan
    intervals = {1e-3: (0.5, 1.5)}

    picture = factor_intervals(
        arms, values,
        metric="G loss", factor="learning rate", intervals=intervals, collapsed=["0.01-1"],
    )  # fmt: skip

    (axes,) = picture.figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "learning rate (log scale)"
    assert axes.get_ylabel() == "G loss"
    means = lines(axes, "means")["means"]
    assert np.asarray(means.get_xdata()).tolist() == list(RATES)
    assert heights(means) == pytest.approx([1.01, 1.1, 2.5])
    assert heights(lines(axes, "interval")["interval/0.001"]) == [0.5, 1.5]
    assert [text.get_text() for text in axes.texts] == ["0/3", "0/3", "2/3"]
    assert len(heights(lines(axes, "runs")["runs"])) == 7
    assert heights(lines(axes, "collapsed")["collapsed"]) == [2.0]
    assert ticks(axes) == ["0.0001", "0.001", "0.01"]
    assert picture.data["mean"].tolist() == pytest.approx([1.01] * 3 + [1.1] * 3 + [2.5] * 3)
    assert picture.data["interval_low"].dropna().tolist() == [0.5] * 3
    assert "3 runs per value, one dot per run, with 3 seeds" in note(picture)
    assert picture.data.set_index("run")["collapsed"].to_dict()["0.01-0"] is False
    assert "2 of 9 runs collapsed or have no finite value." in picture.alt
    assert axes.get_title("left").startswith("Collapsed or without a finite value")


def test_runs_stand_near_their_own_value() -> None:
    arms, values = sweep_of_rates()
    (axes,) = factor_intervals(arms, values, metric="m", factor="f").figure.axes

    places = np.asarray(lines(axes, "runs")["runs"].get_xdata()).reshape(3, 3)
    for rate, x in zip(RATES, places, strict=True):
        assert (x > rate).all()
        assert (x < rate * 10**0.5).all()
        assert len(set(x)) == 3


@pytest.mark.parametrize("factors", [(1.0, 5.0), (0.0, 100.0), (-1.0, 100.0), (3.0, 3.0)])
def test_a_narrow_or_signed_factor_has_a_linear_axis(
    factors: tuple[float, float], tmp_path: Path
) -> None:
    arms = [arm_of_factor(factors[0], {"a": 0}), arm_of_factor(factors[1], {"b": 1})]
    if factors[0] == factors[1]:
        arms = [arm_of_factor(factors[0], {"a": 0, "b": 1})]

    picture = factor_intervals(arms, {"a": 1.0, "b": 2.0}, metric="m", factor="f")

    save(picture, tmp_path)
    assert picture.figure.axes[0].get_xscale() == "linear"


def test_a_factor_of_nothing_and_of_broken_runs(tmp_path: Path) -> None:
    for values in ({}, {"a": np.nan}, {"a": 1.0}):
        arms = [arm_of_factor(1e-3, {run: 0}) for run in values]
        picture = factor_intervals(arms, values, metric="m", factor="f")
        save(picture, tmp_path)
    for value in (np.nan, np.inf, "text"):
        with pytest.raises(ValueError, match="no finite rate: b"):
            arms = [Arm("arm", (value,), ("b",), (0,))]
            factor_intervals(arms, {"b": 1.0}, metric="m", factor="rate")
    with pytest.raises(ValueError, match="no arm: b"):
        factor_intervals([], {"b": 1.0}, metric="m", factor="rate")


def sweep(count: int = 30) -> tuple[pd.DataFrame, dict[str, float]]:
    rates = np.geomspace(1e-5, 1e-2, count)
    keys = pd.DataFrame(
        {
            "lr": rates,
            "beta1": np.linspace(0, 0.9, count),
            "loss": ["bce", "hinge", "wgan_gp"] * (count // 3),
            "init": np.array([True, False] * (count // 2), dtype=object),
            "data": "digits",
        },
        index=[f"run-{position}" for position in range(count)],
    )
    return keys, {f"run-{position}": float(position) for position in range(count)}


def collection(picture: FigureFile, name: str) -> LineCollection:
    (drawn,) = [drawn for drawn in picture.figure.axes[0].collections if drawn.get_gid() == name]
    assert isinstance(drawn, LineCollection)
    return drawn


def points(drawn: LineCollection) -> npt.NDArray[np.float64]:
    """(lines, axes): the heights."""
    return np.array([np.asarray(each.vertices)[:, 1] for each in drawn.get_paths()])


def test_one_line_per_run_and_the_best_on_top() -> None:
    keys, values = sweep()

    picture = parallel_coordinates(keys, values, metric="G loss", lower_is_better=True)

    axes = picture.figure.axes[0]
    assert ticks(axes) == ["lr (log)", "beta1", "loss", "init", "G loss"]
    best, rest = points(collection(picture, "best")), points(collection(picture, "rest"))
    assert (len(best), len(rest)) == (3, 27)
    np.testing.assert_allclose(best[:, 0], np.arange(3) / 29)  # even on a logarithmic axis
    np.testing.assert_allclose(best[:, 1], np.arange(3) / 29)
    assert best[:, 2].tolist() == [0, 0.5, 1]
    assert best[:, 3].tolist() == [1, 0, 1]
    np.testing.assert_allclose(best[:, 4], np.arange(3) / 29)
    order = [each.get_gid() for each in axes.collections]
    assert order.index("best") > order.index("rest")
    assert picture.figure.axes[1].get_ylabel() == "G loss"
    assert picture.data["best"].sum() == 3
    assert picture.data["height of lr"].tolist() == pytest.approx((np.arange(30) / 29).tolist())
    assert "data" not in picture.alt
    assert "lr 1e-05" in picture.alt


@pytest.mark.parametrize("lower", [True, False])
def test_the_best_are_the_darkest(lower: bool) -> None:
    keys, values = sweep()

    picture = parallel_coordinates(keys, values, metric="m", lower_is_better=lower)

    best = np.array([to_rgb(each) for each in collection(picture, "best").get_colors()])
    rest = np.array([to_rgb(each) for each in collection(picture, "rest").get_colors()])
    luminance = np.array([0.2126, 0.7152, 0.0722])
    assert (best @ luminance).max() < (rest @ luminance).min()
    chosen = picture.data.loc[picture.data["best"], "value"].tolist()
    assert chosen == ([0, 1, 2] if lower else [27, 28, 29])


def test_runs_without_a_value_are_dashed(tmp_path: Path) -> None:
    keys, values = sweep()
    values["run-0"], values["run-1"] = np.nan, np.inf
    del values["run-2"]

    picture = parallel_coordinates(keys, values, metric="m", lower_is_better=True)

    save(picture, tmp_path)
    broken = points(collection(picture, "broken"))
    assert np.isfinite(broken[:, :4]).all()
    assert np.isnan(broken[:, 4]).all()
    assert picture.data.loc[picture.data["best"], "value"].tolist() == [3, 4, 5]
    assert "Dashed lines: 3 runs without a finite value" in note(picture)

    dead = parallel_coordinates(keys, {}, metric="m", lower_is_better=True)
    save(dead, tmp_path)
    assert len(points(collection(dead, "broken"))) == 30


def test_keys_with_gaps_and_formulas_stand_at_ticks(tmp_path: Path) -> None:
    keys = pd.DataFrame(
        {"a": [1, None, 3], "$b{": ["$x", None, "$\\bad{"], "list": [[1, 2], [3], None]},
        index=["0", "1", "2"],
        dtype=object,
    )
    keys["gap"] = [1.5, np.nan, 1.5]

    picture = parallel_coordinates(
        keys, {"0": 1.0, "1": 1.0, "2": 1.0}, metric="m", lower_is_better=True
    )

    save(picture, tmp_path)
    texts = {text.get_text() for text in picture.figure.axes[0].texts}
    assert {"1", "3", "none", "$x", "$\\bad{", "[1, 2]", "1.5"} <= texts


def test_a_sweep_of_one_run_or_of_equal_runs_is_refused() -> None:
    keys, values = sweep()
    for few in (keys.iloc[:0], keys.iloc[:1], keys[["data"]], keys[[]]):
        with pytest.raises(ValueError, match="two runs and a key"):
            parallel_coordinates(few, values, metric="m", lower_is_better=True)
