"""Bars for the steps in which a rule holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.plots.finding_marks import mark_findings
from analysis.plots.run import loss_curves, score_curves
from diagnosis import RULES, Finding
from tests.support.drawn_run import random_values, write_run
from tracking.backends.local import read_steps

Draw: TypeAlias = Callable[..., Figure]

TITLE = RULES["collapsed"].title


def finding(since: int, until: int) -> Finding:
    return Finding("collapsed", since, until, until, False, "few", {}, 1.5)


def test_what_holds_in_the_last_step_alone_is_seen_and_named() -> None:
    axes = Figure().add_subplot()
    axes.set_xlim(0, 260)
    mark_findings(axes, [finding(260, 260)])
    (bar,) = [each for each in axes.patches if isinstance(each, Rectangle)]
    assert 0 < bar.get_x() < bar.get_x() + bar.get_width() <= 260
    assert [text.get_horizontalalignment() for text in axes.texts] == ["right"]
    mark_findings(axes, [finding(40, 100)])
    assert axes.texts[-1].get_position()[0] == 40


@pytest.mark.parametrize("draw", [loss_curves, score_curves])
def test_the_name_of_what_began_late_is_not_cut_off(draw: Draw, tmp_path: Path) -> None:
    """It ends where the axes do, which is known once their limits are."""
    steps = read_steps(write_run(tmp_path / "run", random_values(250)))
    figure = draw(steps, "", [finding(250, 250)])
    figure.draw_without_rendering()
    texts = [text for axes in figure.axes for text in axes.texts]
    [name] = [text for text in texts if text.get_text().strip() == TITLE]
    assert name.axes is not None
    assert name.get_window_extent().x1 <= name.axes.bbox.x1 + 0.5
