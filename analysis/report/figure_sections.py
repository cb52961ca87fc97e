"""Which figures answer what: values of arms, several factors at once, curves over the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.comparison.compare import Comparison
from analysis.comparison.measures import Measure
from analysis.comparison.statistics import mean_interval
from analysis.comparison.tables import short_label
from analysis.plots.arm_curves import loss_bands, score_bands
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


def curve_figures(
    runs: Runs, labels: Mapping[str, str], seeds: Mapping[str, int], collapsed: Sequence[str]
) -> Figures:
    """Losses and scores of arms over the training. labels: run id -> arm."""
    steps = {run: runs.steps(run) for run in labels}
    losses = Figure(
        loss_bands(steps, labels, seeds, collapsed=collapsed),
        "Losses of G and of D over the training, apart and in one.",
    )
    scores = Figure(
        score_bands(steps, labels, seeds),
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


def arms_and_seeds(comparison: Comparison) -> tuple[dict[str, str], dict[str, int]]:
    """For each run its arm as a figure can show it, the baseline's first, and its seed."""
    order = {label: place for place, label in enumerate(comparison.labels)}
    arms = {str(run): str(label) for run, label in comparison.runs["arm"].items()}
    seeds = {str(run): int(seed) for run, seed in comparison.runs["seed"].items()}
    ordered = sorted(arms.items(), key=lambda item: order[item[1]])
    return {run: escape_control_characters(label) for run, label in ordered}, seeds


def collapsed(comparison: Comparison) -> list[str]:
    """The ids of the runs that did."""
    return comparison.runs.index[comparison.runs["ending"] == "collapsed"].tolist()


def _of_measure(comparison: Comparison, measure: Measure, direction: str | None) -> list[Figure]:
    arms, seeds = arms_and_seeds(comparison)
    values = {str(run): float(each) for run, each in comparison.runs[measure.name].items()}
    factor = comparison.arms.factors[0]
    if len(comparison.arms.factors) > 1:
        # Keys in front of every value would leave no room between the ticks.
        labels = comparison.arms.labels
        named = {
            run: escape_control_characters(short_label(comparison, labels[run])) for run in arms
        }
        figures = [_strips(values, named, seeds, measure)]
        if direction in ("lower", "higher"):
            lower_is_better = direction == "lower"
            figures.append(_coordinates(comparison, values, measure, lower_is_better))
        return figures
    numbers = {label: each[0] for label, each in comparison.arms.values.items()}
    if len(numbers) > 2 and all(map(_is_number, numbers.values())):
        by_run = {run: float(str(numbers[comparison.arms.labels[run]])) for run in arms}
        picture = factor_intervals(
            values,
            by_run,
            seeds,
            metric=measure.words,
            factor=factor,
            intervals=_mean_intervals(values, by_run),
            collapsed=collapsed(comparison),
        )
        return [Figure(picture, f"The {measure.words} against {factor}: a dot a run.")]
    return [_strips(values, arms, seeds, measure, _interval(comparison, measure))]


def _strips(
    values: Mapping[str, float],
    arms: Mapping[str, str],
    seeds: Mapping[str, int],
    measure: Measure,
    interval: tuple[float, float] | None = None,
) -> Figure:
    picture = paired_slopes(values, arms, seeds, metric=measure.words, interval=interval)
    return Figure(picture, f"The {measure.words} of every run.")


def _coordinates(
    comparison: Comparison, values: Mapping[str, float], measure: Measure, lower_is_better: bool
) -> Figure:
    rows = {
        run: dict(zip(comparison.arms.factors, comparison.arms.values[label], strict=True))
        for run, label in comparison.arms.labels.items()
        if run in values
    }
    keys = pd.DataFrame.from_dict(rows, orient="index").map(_plotted)
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
    values: Mapping[str, float], factors: Mapping[str, float]
) -> dict[float, tuple[float, float]]:
    frame = pd.DataFrame({"value": values, "factor": factors})
    finite = frame[np.isfinite(frame["value"])]
    found = {
        float(str(factor)): mean_interval(each.to_numpy(np.float64))
        for factor, each in finite.groupby("factor")["value"]
    }
    return {factor: each for factor, each in found.items() if np.isfinite(each).all()}
