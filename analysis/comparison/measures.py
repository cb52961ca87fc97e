"""The numbers, one per run, that a comparison is about."""

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
"""The share of a run's steps, its last ones, over which a metric of batches is averaged."""

NEAREST = "nearest_epoch"
_QUALITIES = ("fid", "precision", "recall")
"""Of what was evaluated: more at once would cost every test its power."""

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
    """One number of a run.

    Attributes:
        name: As a user types it, such as `Gloss`.
        path: The metric's path; empty for a derived number.
        words: The name in a sentence.
    """

    name: str
    path: str
    words: str


def find_measures(runs: Runs, ids: Sequence[str], names: Sequence[str]) -> list[Measure]:
    """Find measures by name.

    Args:
        runs: Where the runs' metrics are read from.
        ids: The runs to compare.
        names: The last part of a metric's path, the whole path, or `nearest_epoch`. If empty:
            the metrics that all runs were evaluated by, then the losses and D's scores.

    Raises:
        ComparisonError: No run has a metric of such a name.
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
    known = {path.rpartition("/")[2]: path for path in paths if not path.startswith(EPOCH)}
    known |= {path: path for path in paths}
    wanted = names or [*evaluated, *(name for name in DEFAULTS if name in known)]
    found = []
    for name in wanted:
        if name == NEAREST:
            found.append(Measure(name, "", _WORDS[name]))
            continue
        if name not in known:
            hint = (
                did_you_mean(name, [*known, NEAREST]) or f"There are: {', '.join(sorted(known))}."
            )
            raise ComparisonError(f"--metric {name}: no run has it.\n{hint}")
        short = known[name].rpartition("/")[2]
        found.append(Measure(short, known[name], _WORDS.get(short) or _spelt(short)))
    return found


def _spelt(name: str) -> str:
    """`lenet_fid` to `LeNet-FID`, as the feature space and the metric are written."""
    if name.startswith("best_"):
        return f"best {_spelt(name.removeprefix('best_'))}"
    if name in ("fid", "kid"):
        return name.upper()
    space, underscore, metric = name.partition("_")
    if space not in ("lenet", "random") or not underscore:
        return name.replace("_", " ")
    metric = {"fid": "FID", "kid": "KID"}.get(metric, metric.replace("_", " "))
    return f"{'LeNet' if space == 'lenet' else 'Random'}-{metric}"


def measured(runs: Runs, ids: Sequence[str], measures: Sequence[Measure]) -> pd.DataFrame:
    """The value of each measure for each run.

    Args:
        runs: Where the values are read from.
        ids: The runs.
        measures: What to read. A metric of batches counts with its mean over the last tenth of
            the run's steps, any other metric with its newest value.

    Returns:
        One row per run, one float64 column per measure, by its name; NaN if a run lacks it.
    """
    index = pd.Index(ids, name="run")
    values = pd.DataFrame(index=index)
    batches = [each.path for each in measures if each.path.startswith(f"{BATCH}/")]
    means = runs.final_means(batches, LAST, ids) if batches else values
    last = runs.last_values(ids)
    for each in measures:
        if each.name == NEAREST:
            values[each.name] = [_nearest_epoch(runs.steps(run)) for run in ids]
        elif each.path in batches:
            values[each.name] = means[each.path]
        else:
            values[each.name] = last[each.path]
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
