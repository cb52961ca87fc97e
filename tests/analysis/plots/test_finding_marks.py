"""Bars for the steps in which a rule holds."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.plots.finding_marks import mark_findings
from diagnosis import Finding


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
