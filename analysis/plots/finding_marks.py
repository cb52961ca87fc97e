"""Bars under the curves of a run that mark the steps in which a health rule holds."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from diagnosis import RULES, Finding

MAX_MARKS = 4
"""More bars would hide the curves; the most serious findings are shown."""

_COLOUR = "#b3541e"
_SHORTEST = 0.02
_LATE = 0.35
"""A name that starts further right might be cut off, so it is right-aligned."""

_HEIGHT, _GAP = 0.055, 0.07


def mark_findings(axes: Axes, findings: Sequence[Finding]) -> None:
    """Draw one row of bars per rule at the bottom of the axes, named at its first bar.

    Args:
        axes: The axes, whose x axis counts steps and has its final limits.
        findings: The findings of the run.
    """
    rules = [rule for rule in RULES if any(each.rule == rule for each in findings)][:MAX_MARKS]
    place = blended_transform_factory(axes.transData, axes.transAxes)
    left, right = axes.get_xlim()
    shortest = _SHORTEST * (right - left)
    for row, rule in enumerate(rules):
        of_rule = [finding for finding in findings if finding.rule == rule]
        for finding in of_rule:
            width = max(finding.until - finding.since, shortest)
            # A bar for the last step alone would lie outside of the axes.
            corner = (min(finding.since, right - width), row * _GAP)
            bar = Rectangle(
                corner, width, _HEIGHT, transform=place, color=_COLOUR, alpha=0.45, lw=0
            )
            bar.set_zorder(5)
            bar.set_gid(f"finding/{rule}")
            axes.add_patch(bar)
        is_late = of_rule[0].since > left + _LATE * (right - left)
        axes.text(
            right if is_late else of_rule[0].since,
            row * _GAP + _HEIGHT / 2,
            f" {RULES[rule].title} ",
            transform=place,
            ha="right" if is_late else "left",
            fontsize=6.5,
            va="center",
            color="black",
            zorder=6,
            clip_on=True,
        )
