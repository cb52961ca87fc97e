"""Which figures answer what: values of arms, several factors at once, curves over the training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.comparison.arms import Arm
from analysis.comparison.compare import Comparison
from analysis.comparison.measures import Measure
from analysis.comparison.statistics import mean_interval
from analysis.plots.arm_losses import loss_bands
from analysis.plots.arm_scores import score_bands
from analysis.plots.figure_file import FigureFile
from analysis.plots.parallel_coordinates import parallel_coordinates
from analysis.plots.run import loss_curves, score_curves
from analysis.plots.values import factor_intervals, paired_slopes
from analysis.report.content import Figure, Figures
from analysis.runs import Runs
from tracking.events import EVALUATION, SYS, Value
from tracking.fields import escape_control_characters, to_text
from tracking.metric_directions import direction_of

_LOSSES = ("Gloss", "Dloss")


def value_figures(comparison: Comparison, table: pd.DataFrame) -> Figures:
    """One figure per measure: pairs of seeds, or the values of a numeric factor, or all arms.

    Runs of several factors are drawn as parallel coordinates beside them, if the measure has a
    direction. table: one row per run, of which the stored directions are read.
    """
    found = [
        replace(figure, picture=replace(figure.picture, name=f"{figure.picture.name}_{each.name}"))
        for each in comparison.measures
        for figure in _of_measure(comparison, each, _direction(each, table))
    ]
    return Figures(tuple(found))


def curve_figures(runs: Runs, arms: Sequence[Arm], collapsed_runs: Collection[str] = ()) -> Figures:
    """Losses and scores of arms over the training.

    Args:
        runs: The runs with their steps.
        arms: The arms, in the order that gives them their styles.
        collapsed_runs: Ids of runs to be marked as collapsed.
    """
    steps = {run: runs.steps(run) for arm in arms for run in arm.runs}
    losses = Figure(
        loss_bands(arms, steps, collapsed=collapsed_runs),
        "Losses of G and of D over the training, apart and in one.",
    )
    scores = Figure(
        score_bands(arms, steps),
        "What D says of real images and of fakes, and where the two are nearest.",
    )
    return Figures((losses, scores))


def run_figures(runs: Runs, run: str) -> Figures:
    """Losses and scores of a single run, every batch of them."""
    steps = runs.steps(run)
    metrics = [column for column in steps if str(column).startswith("training/")]
    data = steps[["step", *metrics]]
    told = f"of the run {run} by step, {len(steps):,} steps"
    return Figures(
        (
            Figure(
                FigureFile(loss_curves(steps), "loss", f"Losses of G and D {told}.", data),
                "Losses of G and of D, apart and in one.",
            ),
            Figure(
                FigureFile(score_curves(steps), "scores", f"D's scores {told}.", data),
                "What D says of real images and of fakes.",
            ),
        )
    )


def displayed_arms(comparison: Comparison) -> list[Arm]:
    """The arms with labels that can be shown in a figure."""
    return [replace(arm, label=escape_control_characters(arm.label)) for arm in comparison.arms]


def collapsed(comparison: Comparison) -> list[str]:
    """The ids of the runs that did."""
    return comparison.runs.index[comparison.runs["ending"] == "collapsed"].tolist()


def _of_measure(comparison: Comparison, measure: Measure, direction: str | None) -> list[Figure]:
    arms = displayed_arms(comparison)
    values = {str(run): float(value) for run, value in comparison.runs[measure.name].items()}
    if len(comparison.factors) > 1:
        # Keys in front of every value would leave no room between the ticks.
        short = [replace(arm, label=escape_control_characters(arm.short_label)) for arm in arms]
        figures = [_strips(short, values, measure)]
        if direction in ("lower", "higher"):
            lower_is_better = direction == "lower"
            figures.append(_coordinates(comparison, values, measure, lower_is_better))
        return figures
    if len(arms) > 2 and all(_is_number(arm.values[0]) for arm in arms):
        (factor,) = comparison.factors
        picture = factor_intervals(
            arms,
            values,
            metric=measure.words,
            factor=factor,
            intervals=_mean_intervals(arms, values),
            collapsed=collapsed(comparison),
        )
        return [Figure(picture, f"The {measure.words} against {factor}: a dot a run.")]
    return [_strips(arms, values, measure, _interval(comparison, measure))]


def _strips(
    arms: Sequence[Arm],
    values: Mapping[str, float],
    measure: Measure,
    interval: tuple[float, float] | None = None,
) -> Figure:
    picture = paired_slopes(arms, values, metric=measure.words, interval=interval)
    return Figure(picture, f"The {measure.words} of every run.")


def _coordinates(
    comparison: Comparison, values: Mapping[str, float], measure: Measure, lower_is_better: bool
) -> Figure:
    factors_by_run = {
        run: dict(zip(comparison.factors, arm.values, strict=True))
        for arm in comparison.arms
        for run in arm.runs
    }
    ordered = {run: factors_by_run[run] for run in values}
    keys = pd.DataFrame.from_dict(ordered, orient="index").map(_plotted)
    picture = parallel_coordinates(
        keys, values, metric=measure.words, lower_is_better=lower_is_better
    )
    caption = f"The {measure.words} of every run over all factors."
    if measure.name in _LOSSES:
        caption += " The lowest stand for the best here; a low loss does not make good images."
    return Figure(picture, caption)


def _plotted(value: Value) -> Value:
    return value if _is_number(value) else to_text(value)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _direction(measure: Measure, table: pd.DataFrame) -> str | None:
    """Which way a measure is better, `lower` or `higher`; anything else cannot be ranked.

    By what is stored with the runs; runs that were evaluated before directions were stored fall
    back on the table of today's metrics.
    """
    if measure.name in _LOSSES:
        return "lower"
    if not measure.path.startswith(f"{EVALUATION}/"):
        return None
    column = f"{SYS}/{EVALUATION}/better/{measure.name.removeprefix('best_')}"
    stored = set(table[column].dropna()) if column in table else set()
    return str(stored.pop()) if len(stored) == 1 else direction_of(measure.path)


def _interval(comparison: Comparison, measure: Measure) -> tuple[float, float] | None:
    table = comparison.differences
    rows = table[(table["metric"] == measure.name) & table["paired"].astype(bool)]
    if len(comparison.labels) != 2 or rows.empty or not np.isfinite(rows["low"].iloc[0]):
        return None
    return float(rows["low"].iloc[0]), float(rows["high"].iloc[0])


def _mean_intervals(
    arms: Sequence[Arm], values: Mapping[str, float]
) -> dict[float, tuple[float, float]]:
    """Value of the factor -> interval of the mean; without values for which there is none."""
    intervals = {}
    for arm in arms:
        arm_values = np.array([value for run, value in values.items() if run in arm.runs])
        interval = mean_interval(arm_values[np.isfinite(arm_values)])
        if np.isfinite(interval).all():
            intervals[float(str(arm.values[0]))] = interval
    return dict(sorted(intervals.items()))
