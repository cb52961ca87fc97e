"""The figures of a report: values by arm, several factors at once, curves during training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.comparison.arms import Arm
from analysis.comparison.compare import Comparison
from analysis.comparison.conclusions import interval_name
from analysis.comparison.measures import Measure
from analysis.comparison.statistics import mean_interval
from analysis.plots.arm_losses import loss_bands
from analysis.plots.arm_scores import score_bands
from analysis.plots.evaluation_curves import evaluation_curves, has_evaluation
from analysis.plots.figure_file import FigureFile
from analysis.plots.parallel_coordinates import parallel_coordinates
from analysis.plots.run import loss_curves, score_curves
from analysis.plots.values import factor_intervals, paired_slopes
from analysis.report.content import Figure, Figures
from analysis.runs import Runs
from diagnosis import Finding
from tracking.evaluation_paths import DIRECTIONS, metric_of
from tracking.events import EVALUATION, Value
from tracking.fields import escape_control_characters, to_text
from tracking.metric_directions import direction_of
from tracking.wording import plural


def value_figures(comparison: Comparison, table: pd.DataFrame) -> Figures:
    """One figure per measure: pairs of seeds, or the values of a numeric factor, or all arms.

    With several factors, parallel coordinates are added if the measure has a direction.
    table: One row per run, with the stored directions.
    """
    figures = [
        replace(figure, picture=replace(figure.picture, name=f"{figure.picture.name}_{file_name}"))
        for measure in comparison.measures
        # Measures with the same last name have whole paths, which would be folders.
        for file_name in [measure.name.replace("/", "_")]
        for figure in _of_measure(comparison, measure, _direction(measure, table))
    ]
    return Figures(tuple(figures))


def curve_figures(runs: Runs, arms: Sequence[Arm], collapsed_runs: Collection[str] = ()) -> Figures:
    """Losses and scores of arms during training.

    Args:
        runs: The runs with their steps.
        arms: The arms, in the order that gives them their styles.
        collapsed_runs: Ids of the runs to mark as collapsed.
    """
    steps = {run: runs.steps(run) for arm in arms for run in arm.runs}
    losses = Figure(
        loss_bands(arms, steps, collapsed=collapsed_runs),
        "Losses of G and D during training, separately and together.",
    )
    scores = Figure(
        score_bands(arms, steps),
        "D's output for real images and for fakes during training.",
    )
    return Figures((losses, scores))


def run_figures(runs: Runs, run: str, findings: Sequence[Finding]) -> Figures:
    """Losses and D's output of a single run, batch by batch, and its evaluations.

    Args:
        runs: The runs.
        run: The id of the one to draw.
        findings: The findings of the health rules.
    """
    steps = runs.steps(run)
    metrics = [column for column in steps if str(column).startswith("training/")]
    data = steps[["step", *metrics]]
    source = f"of the run {run} over {plural(len(steps), 'step')}"
    evaluations: tuple[Figure, ...] = ()
    if has_evaluation(steps):
        scores = steps[["step", *(each for each in steps if str(each).startswith(EVALUATION))]]
        fields = {str(path): value for path, value in runs.table.loc[run].to_dict().items()}
        drawn = evaluation_curves(steps, fields)
        file = FigureFile(drawn, "evaluation", f"Scores {source}.", scores.dropna(thresh=2))
        evaluations = (Figure(file, "Scores of its checkpoints, beside those of real images."),)
    return Figures(
        (
            Figure(
                FigureFile(
                    loss_curves(steps, "", findings), "loss", f"Losses of G and D {source}.", data
                ),
                "Losses of G and D, separately and together.",
            ),
            Figure(
                FigureFile(
                    score_curves(steps, "", findings), "scores", f"D's output {source}.", data
                ),
                "D's output for real images and for fakes.",
            ),
            *evaluations,
        )
    )


def displayed_arms(comparison: Comparison) -> list[Arm]:
    """The arms with labels shortened for figures."""
    return [replace(arm, label=escape_control_characters(arm.label)) for arm in comparison.arms]


def collapsed_runs(comparison: Comparison) -> list[str]:
    """The ids of the runs that collapsed."""
    return comparison.runs.index[comparison.runs["outcome"] == "collapsed"].tolist()


def _of_measure(comparison: Comparison, measure: Measure, direction: str | None) -> list[Figure]:
    arms = displayed_arms(comparison)
    values = {str(run): float(value) for run, value in comparison.runs[measure.name].items()}
    if len(comparison.factors) > 1:
        # With a key in front of every value the tick labels would overlap.
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
            collapsed=collapsed_runs(comparison),
        )
        return [Figure(picture, f"The {measure.words} against {factor}, one dot per run.")]
    return [_pairs(comparison, arms, values, measure)]


def _strips(arms: Sequence[Arm], values: Mapping[str, float], measure: Measure) -> Figure:
    picture = paired_slopes(arms, values, metric=measure.words)
    return Figure(picture, f"The {measure.words} of every run.")


def _pairs(
    comparison: Comparison, arms: Sequence[Arm], values: Mapping[str, float], measure: Measure
) -> Figure:
    """The strips, with the interval of the difference between two arms that are paired."""
    table = comparison.differences
    rows = table[(table["metric"] == measure.name) & table["paired"].astype(bool)]
    if len(arms) != 2 or rows.empty or not np.isfinite(rows["ci_low"].iloc[0]):
        return _strips(arms, values, measure)
    row = rows.iloc[0]
    picture = paired_slopes(
        arms,
        values,
        metric=measure.words,
        interval=(float(row["ci_low"]), float(row["ci_high"])),
        interval_name=interval_name(row["level"]),
    )
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
    return Figure(picture, f"One line per run, through its factors to its {measure.words}.")


def _plotted(value: Value) -> Value:
    return value if _is_number(value) else to_text(value)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _direction(measure: Measure, table: pd.DataFrame) -> str | None:
    """Whether `lower` or `higher` values of a measure are better; other results mean neither.

    A loss has no direction, as it does not measure quality. For evaluation metrics the direction
    that is stored with the runs counts; for runs evaluated before directions were stored, that of
    today's metrics.
    """
    if not measure.path.startswith(f"{EVALUATION}/"):
        return None
    column = f"{DIRECTIONS}/{metric_of(measure.path)}"
    stored = set(table[column].dropna()) if column in table else set()
    return str(stored.pop()) if len(stored) == 1 else direction_of(measure.path)


def _mean_intervals(
    arms: Sequence[Arm], values: Mapping[str, float]
) -> dict[float, tuple[float, float]]:
    """Value of the factor -> interval of the mean; values without an interval are left out."""
    intervals = {}
    for arm in arms:
        arm_values = np.array([value for run, value in values.items() if run in arm.runs])
        interval = mean_interval(arm_values[np.isfinite(arm_values)])
        if np.isfinite(interval).all():
            intervals[float(str(arm.values[0]))] = interval
    return dict(sorted(intervals.items()))
