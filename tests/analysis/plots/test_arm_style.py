"""How arms look, and which arms are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from analysis.comparison.arms import Arm
from analysis.plots.arm_losses import loss_bands
from analysis.plots.arm_scores import score_bands
from analysis.plots.arm_style import check_arms
from analysis.plots.axes import wrapped
from analysis.plots.figure_file import save
from tests.support.drawn_arms import (
    arms_with_steps,
    legend_texts,
)


def test_arms_differ_in_colour_in_dashes_and_in_markers() -> None:
    picture = loss_bands(*arms_with_steps([1, 1, 1, 1]))

    medians = [each for each in picture.figure.axes[0].lines if "median" in str(each.get_gid())]
    assert len({to_hex(each.get_color()) for each in medians}) == 4
    assert len({str(each._unscaled_dash_pattern) for each in medians}) == 4
    assert len({each.get_marker() for each in medians}) == 4


def test_two_arms_with_one_label_are_refused() -> None:
    (first, second), steps = arms_with_steps([2, 2])
    with pytest.raises(ValueError, match="same label"):
        loss_bands([first, replace(second, label=first.label)], steps)
    with pytest.raises(ValueError, match="same label"):
        score_bands([replace(first, label=" arm  1 "), second], steps)
    with pytest.raises(ValueError, match="seed 0 twice, in a and b"):
        Arm.from_seeds("arm", {"a": 0, "b": 0})


def test_a_run_without_arm_or_seed_is_refused() -> None:
    arm = Arm("arm", (), ("a",), (0,))
    with pytest.raises(ValueError, match="no arm: b"):
        check_arms([arm], ["a", "b"])
    with pytest.raises(ValueError, match="nothing to draw for these runs: a"):
        check_arms([arm], [])
    with pytest.raises(ValueError, match="2 runs but 1 seeds"):
        Arm("arm", (), ("a", "b"), (0,))
    with pytest.raises(ValueError, match="not sorted by seed"):
        Arm("arm", (), ("a", "b"), (1, 0))


def test_runs_are_sorted_by_seed() -> None:
    arm = Arm.from_seeds("arm", {"a": 2, "b": 0, "c": 1})
    assert (arm.runs, arm.seeds) == (("b", "c", "a"), (0, 1, 2))


def test_labels_are_no_formulas_and_may_begin_with_an_underscore(tmp_path: Path) -> None:
    (first, second), steps = arms_with_steps([1, 1])
    arms = [
        replace(first, label="_hidden $\\bad{"),
        replace(second, label="a very long label of an arm " * 6 + "$x$"),
    ]

    for draw in (loss_bands, score_bands):
        picture = draw(arms, steps, title="$\\bad{")
        save(picture, tmp_path)
        assert legend_texts(picture)[0] == "_hidden $\\bad{ (1 seed)"
        assert max(len(line) for line in legend_texts(picture)[1].splitlines()) < 60


def test_many_arms_do_not_squash_the_panels(tmp_path: Path) -> None:
    heights = []
    for count in (2, 16):
        picture = score_bands(*arms_with_steps([1] * count, epochs=9))
        save(picture, tmp_path)
        axes = picture.figure.axes[0]
        heights.append(axes.get_position().height * picture.figure.get_figheight())
    assert heights[1] > 0.9 * heights[0]


def test_labels_break_where_a_reader_would() -> None:
    assert wrapped("network.latent_size", 12) == "network.\nlatent_size"
    assert wrapped("lr 2.5e-4", 20) == "lr 2.5e-4"
    assert wrapped("abcdefghij", 4) == "abcd\nefgh\nij"
