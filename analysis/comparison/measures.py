"""The measures of a comparison: one number per run, from its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.bands import WINDOW, argmin_step, distance, moving_average
from analysis.comparison.arms import ComparisonError
from analysis.comparison.evaluations import conditions_in_words, differing_conditions
from analysis.series import Series, series_of
from tracking.evaluation_paths import score_name
from tracking.events import BATCH, EPOCH
from tracking.wording import did_you_mean, join_with_and

if TYPE_CHECKING:
    from analysis.runs import Runs

LAST = 0.1
"""Per-batch metrics are averaged over this last share of a run's steps."""

NEAREST = "nearest_epoch"
_QUALITIES = ("fid", "precision", "recall")
"""Compared by default if the runs were evaluated. They are few because each further test lowers
the power of all."""

DEFAULTS = ("Gloss", "Dloss", "D_x", "D_G_z1")
"""Compared by default if the runs have them."""

_OWN_COLUMNS = ("arm", "seed", "outcome")
"""Columns of `compare.Comparison.runs` that are no measures; other programs have such metrics."""

_MAX_NAMED = 8
"""How many of the runs' metrics an error names."""

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
        name: The name that a user types, such as `Gloss`; the whole path if two measures would
            have the same name, or if a comparison has a column of this name.
        path: The path of the metric; empty if the number is derived from several.
        words: Its name in a sentence, such as `final loss of G`.
    """

    name: str
    path: str
    words: str


@dataclass(frozen=True)
class ChosenMeasures:
    """The measures to compare, and why others are left out.

    Attributes:
        measures: No two have the same name or path.
        left_out: One sentence per default metric that is left out: few runs have it, or it was
            measured in several ways.
        overridden: One sentence per such metric that is compared anyway.
    """

    measures: tuple[Measure, ...]
    left_out: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()


def find_measures(
    runs: Runs, ids: Sequence[str], names: Sequence[str] = (), *, anyway: bool = False
) -> ChosenMeasures:
    """Find measures by name.

    Args:
        runs: The runs.
        ids: Ids of the runs to compare.
        names: The last part of a metric's path, the whole path, or `nearest_epoch`. If empty:
            FID, precision and recall if runs were evaluated, then the losses and D's scores.
        anyway: Compare evaluations even if they were made in different ways.

    Raises:
        ComparisonError: No run has a metric of this name, several metrics have it, it was
            measured in several ways, or no metric is left that is compared by default.
    """
    last_values = {run: runs.last_values_of(run) for run in ids}
    paths = sorted({path for values in last_values.values() for path in values})
    chosen = [_path_of(name, paths) for name in names] or _defaults(paths)
    left_out: list[str] = []
    kept: list[str] = []
    names_by_conditions: dict[str, list[str]] = {}
    for path in dict.fromkeys(chosen):
        with_metric = [run for run in ids if path in last_values[run]]
        if not names and 2 * len(with_metric) < len(ids):
            left_out.append(
                f"The {_words(path)} is left out: only {len(with_metric)} of {len(ids)} runs have "
                f"it. Compare these with --metric {_leaf(path)}."
            )
            continue
        conditions = differing_conditions(path, runs, with_metric)
        if conditions and names and not anyway:
            raise _measured_differently(path, conditions_in_words(conditions))
        if conditions:
            key = conditions_in_words(conditions)
            names_by_conditions.setdefault(key, []).append(_words(path))
        if not conditions or anyway:
            kept.append(path)
    sentences = [
        _describe_difference(words, conditions, anyway)
        for conditions, words in names_by_conditions.items()
    ]
    if not kept:
        raise _nothing_to_compare(paths, [*left_out, *sentences])
    leaves = [_leaf(path) for path in kept]
    measures = (
        Measure(NEAREST, "", _WORDS[NEAREST])
        if path == NEAREST
        else Measure(leaf, path, _words(path))
        if leaves.count(leaf) == 1 and leaf not in _OWN_COLUMNS
        else Measure(path, path, f"{_words(path)} ({path})")
        for path, leaf in zip(kept, leaves, strict=True)
    )
    return ChosenMeasures(
        tuple(measures), tuple(left_out + (not anyway) * sentences), tuple(anyway * sentences)
    )


def count_defaults(feature_spaces: int) -> int:
    """How many metrics are compared by default, by the number of feature spaces evaluated."""
    return len(DEFAULTS) + len(_QUALITIES) * feature_spaces


def runs_without(runs: Runs, ids: Sequence[str], measure: Measure) -> list[str]:
    """The runs that never recorded a measure; a derived measure is never missing.

    Args:
        runs: All runs.
        ids: Ids of the runs to look at.
        measure: The measure.
    """
    if not measure.path:
        return []
    return [run for run in ids if measure.path not in runs.last_values_of(run)]


def _defaults(paths: Sequence[str]) -> list[str]:
    evaluations = (
        path for path in paths if score_name(path) is not None and path.endswith(_QUALITIES)
    )
    batches = (f"{BATCH}/{name}" for name in DEFAULTS)
    return [*evaluations, *(path for path in batches if path in paths)]


def _path_of(name: str, paths: Sequence[str]) -> str:
    """The path of the metric that a user names; ComparisonError unless exactly one matches."""
    if name == NEAREST or name in paths:
        return name
    matches = [path for path in paths if _leaf(path) == name]
    # The mean over an epoch has the same name as the per-batch metric.
    matches = [path for path in matches if not path.startswith(EPOCH)] or matches
    if len(matches) > 1:
        raise ComparisonError(
            f"--metric {name}: there are several. Give the whole path: {', '.join(matches)}."
        )
    if matches:
        return matches[0]
    leaves = sorted({_leaf(path) for path in paths})
    hint = did_you_mean(name, [*leaves, *paths, NEAREST])
    hint = hint or f"There are: {', '.join(leaves)}."
    raise ComparisonError(f"--metric {name}: no run has it.\n{hint}")


def _nothing_to_compare(paths: Sequence[str], left_out: Sequence[str]) -> ComparisonError:
    """The error for runs of other programs, whose metrics have other names."""
    leaves = sorted({_leaf(path) for path in paths})
    more = ", ..." * (len(leaves) > _MAX_NAMED)
    hint = (
        f"Choose some of theirs with --metric: {', '.join(leaves[:_MAX_NAMED])}{more}."
        if leaves
        else "They have no metrics at all."
    )
    return ComparisonError(
        "\n".join(
            ["These runs have none of the metrics that are compared by default.", *left_out, hint]
        )
    )


def _measured_differently(path: str, conditions: str) -> ComparisonError:
    return ComparisonError(
        f"--metric {_leaf(path)}: it was not measured in the same way in all runs, so its values "
        f"cannot be compared:\n  {conditions}\n"
        "Evaluate the runs again in one way with dcgan evaluate, select runs with --where, or "
        "compare with --anyway."
    )


def _describe_difference(words: Sequence[str], conditions: str, anyway: bool) -> str:
    """One sentence for all metrics that cannot be compared because of the same conditions."""
    were, they_are, their = (
        ("was", "it is", "its") if len(words) == 1 else ("were", "they are", "their")
    )
    outcome = f"{their} values are compared anyway" if anyway else f"{they_are} left out"
    return (
        f"The {join_with_and(words)} {were} not measured in the same way in all runs "
        f"({conditions}), so {outcome}."
    )


def _leaf(path: str) -> str:
    return path.rpartition("/")[2]


def _words(path: str) -> str:
    return _WORDS.get(_leaf(path)) or _in_words(_leaf(path))


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


def read_measures(runs: Runs, ids: Sequence[str], measures: Sequence[Measure]) -> pd.DataFrame:
    """Read the measures of runs.

    Args:
        runs: The runs.
        ids: Ids of the runs to read.
        measures: The measures to read.

    Returns:
        One row per run, one float64 column per measure: the mean over the last tenth of the steps
        for a metric of batches, the last value of any other; NaN if a run lacks it.
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

    nearest = argmin_step(moving_average(distance(epochs("D_x"), epochs("D_G_z1"))))
    return float("nan") if nearest is None else float(nearest)
