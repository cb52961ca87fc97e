"""Evaluation scores of one run over its steps, with those of real images for comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.run_curves import finish_time_axis
from analysis.plots.style import annotate_empty, house_style, legend_above, new_figure
from analysis.series import series_of
from tracking.evaluation_paths import EVALUATION_FIELDS, REAL_SCORES, score_name
from tracking.events import EVALUATION, Value
from tracking.metric_directions import direction_of

_COLOURS = (style.GENERATOR, style.DISCRIMINATOR)


def has_evaluation(steps: pd.DataFrame) -> bool:
    """Whether a run has a Frechet distance to draw.

    steps: The run's step table, `tracking.tables.step_table`.
    """
    return bool(_distances(steps))


@house_style
def evaluation_curves(steps: pd.DataFrame, fields: Mapping[str, Value], title: str = "") -> Figure:
    """Every Frechet distance, and precision and recall in the feature space of the first one.

    Args:
        steps: The step table of one run, `tracking.tables.step_table`.
        fields: The run's fields, which include the scores of real images.
        title: The figure's title; may be empty.

    Raises:
        ValueError: The run was not evaluated.
    """
    distances = _distances(steps)
    if not distances:
        raise ValueError("The run was not evaluated.")
    prefix = distances[0].removesuffix("fid")
    panels: list[tuple[str, ...]] = [(name,) for name in distances]
    panels.append((f"{prefix}precision", f"{prefix}recall"))
    source = fields.get(f"{EVALUATION_FIELDS}/held_out")
    note = (
        f"Dashed: what real images get{f' ({source})' if source else ''}. Values of other numbers "
        "of images, or of other features, cannot be compared with these."
    )
    figure = new_figure(0.8 + 2.1 * len(panels), title, note)
    all_axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
    for axes, names in zip(all_axes, panels, strict=True):
        axes.set_title(" and ".join(names))
        axes.set_ylabel(f"{direction_of(names[0])} is better")
        for name, colour in zip(names, _COLOURS, strict=False):
            series = series_of(steps, f"{EVALUATION}/{name}")
            finite = np.isfinite(series.values)
            axes.plot(
                series.steps[finite],
                series.values[finite],
                color=colour,
                marker="o",
                markersize=3,
                label=name if len(names) > 1 else "",
                gid=f"{EVALUATION}/{name}",
            )
            real = fields.get(f"{REAL_SCORES}/{name}")
            if isinstance(real, int | float) and np.isfinite(real):
                axes.axhline(real, color=colour, linewidth=0.8, linestyle=(0, (4, 3)))
        if not any(len(line.get_xdata()) for line in axes.get_lines()):
            annotate_empty(axes)
        legend_above(axes)
    finish_time_axis(all_axes[-1], steps)
    figure.align_ylabels()
    return figure


def _distances(steps: pd.DataFrame) -> Sequence[str]:
    """The names of the Frechet distances that a run has, plain FID first."""
    names = [
        name
        for path in map(str, steps.columns)
        if (name := score_name(path)) and name.endswith("fid") and steps[path].notna().any()
    ]
    return sorted(names, key=lambda name: (name != "fid", name))
