"""What a comparison is about: one number per run, from its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.bands import WINDOW, argmin_step, difference, moving_average
from analysis.comparison.arms import ComparisonError
from analysis.series import Series, series_of
from tracking.events import BATCH, EPOCH, EVALUATION
from tracking.wording import did_you_mean

if TYPE_CHECKING:
    from analysis.runs import Runs

LAST = 0.1
"""A metric of batches is averaged over this share of a run's steps, the last ones."""

NEAREST = "nearest_epoch"
_QUALITIES = ("fid", "precision", "recall")
"""Compared by default if evaluated: more tests at once would cost each its power."""

DEFAULTS = ("Gloss", "Dloss", "D_x", "D_G_z1")
_WORDS = {
    "Gloss": "final loss of G",
    "Dloss": "final loss of D",
    "D_x": "final D(x)",
    "D_G_z1": "final D(G(z))",
    "D_G_z2": "final D(G(z)) after D's step",
    NEAREST: "epoch at which D(x) and D(G(z)) are nearest",
}


@dataclass(frozen=True)
class Measure:
    """One number per run.

    Attributes:
        name: As a user types it, such as `Gloss`.
        path: Of the metric; empty if the number is derived from several.
        words: As it appears in a sentence, such as `final loss of G`.
    """

    name: str
    path: str
    words: str


def find_measures(runs: Runs, ids: Sequence[str], names: Sequence[str]) -> list[Measure]:
    """Find measures by name.

    Args:
        runs: The runs.
        ids: Those that are compared.
        names: The last part of a metric's path, the whole path, or `nearest_epoch`. If empty:
            FID, precision and recall if all runs were evaluated, then the losses and D's scores.

    Raises:
        ComparisonError: No run has a metric of this name.
    """
    last = runs.last_values(ids)
    paths = [str(column) for column in last.columns]
    evaluated = [
        path
        for path in paths
        if path.startswith(f"{EVALUATION}/")
        and path.endswith(_QUALITIES)
        and last[path].notna().all()
    ]
    path_by_name = {path.rpartition("/")[2]: path for path in paths if not path.startswith(EPOCH)}
    path_by_name |= {path: path for path in paths}
    measures = []
    for name in names or [*evaluated, *(name for name in DEFAULTS if name in path_by_name)]:
        if name == NEAREST:
            measures.append(Measure(name, "", _WORDS[name]))
            continue
        if name not in path_by_name:
            hint = did_you_mean(name, [*path_by_name, NEAREST])
            hint = hint or f"There are: {', '.join(sorted(path_by_name))}."
            raise ComparisonError(f"--metric {name}: no run has it.\n{hint}")
        path = path_by_name[name]
        leaf = path.rpartition("/")[2]
        measures.append(Measure(leaf, path, _WORDS.get(leaf) or _in_words(leaf)))
    return measures


def _in_words(name: str) -> str:
    """`lenet_fid` as `LeNet-FID`: the feature space and the metric as they are usually spelled."""
    if name.startswith("best_"):
        return f"best {_in_words(name.removeprefix('best_'))}"
    if name in ("fid", "kid"):
        return name.upper()
    space, underscore, metric = name.partition("_")
    if space not in ("lenet", "random") or not underscore:
        return name.replace("_", " ")
    metric = {"fid": "FID", "kid": "KID"}.get(metric, metric.replace("_", " "))
    return f"{'LeNet' if space == 'lenet' else 'Random'}-{metric}"


def measured(runs: Runs, ids: Sequence[str], measures: Sequence[Measure]) -> pd.DataFrame:
    """Read the measures of runs.

    Args:
        runs: The runs.
        ids: Those to read.
        measures: The columns.

    Returns:
        One row per run, one float64 column per measure: the mean over the last tenth of the steps
        for a metric of batches, the newest value for any other; NaN if a run lacks it.
    """
    values = pd.DataFrame(index=pd.Index(ids, name="run"))
    batches = [measure.path for measure in measures if measure.path.startswith(f"{BATCH}/")]
    means = runs.final_means(batches, LAST, ids) if batches else values
    last = runs.last_values(ids)
    for measure in measures:
        if measure.name == NEAREST:
            values[measure.name] = [_nearest_epoch(runs.steps(run)) for run in ids]
        elif measure.path in batches:
            values[measure.name] = means[measure.path]
        else:
            values[measure.name] = last[measure.path]
    return values.astype("float64")


def _nearest_epoch(steps: pd.DataFrame) -> float:
    """The middle of the ten epochs in which D(x) and D(G(z)) are nearest to each other."""
    numbers = series_of(steps, f"{EPOCH}/number")
    ends = np.isfinite(numbers.values)
    if ends.sum() < WINDOW:
        return float("nan")

    def epochs(name: str) -> Series:
        values = series_of(steps, f"{EPOCH}/{name}").values[ends]
        return Series(numbers.values[ends].astype(np.int64), values)

    nearest = argmin_step(moving_average(difference(epochs("D_x"), epochs("D_G_z1"))))
    return float("nan") if nearest is None else float(nearest)
