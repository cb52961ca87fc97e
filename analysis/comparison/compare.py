"""Does a factor change the outcome, and is the evidence sufficient? Arms of runs compared."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from analysis.comparison.arms import (
    Arm,
    ComparisonError,
    Grouping,
    NoArmsError,
    commits,
    group_into_arms,
)
from analysis.comparison.differences import differences_from
from analysis.comparison.failures import (
    TRAINING_METRICS,
    TrainingOutcome,
    last_grids,
    training_outcome,
)
from analysis.comparison.measures import LAST, Measure, find_measures, read_measures, runs_without
from analysis.comparison.seeds import newest_of_twins, seed_warnings
from diagnosis.image_grids import DATASET_SIZE, IMAGE_SIZE, GridReading, image_sides
from tracking.events import CONFIG, SYS, Value
from tracking.fields import config_path, from_text, to_text
from tracking.wording import join_with_and, plural

if TYPE_CHECKING:
    from analysis.runs import Runs

_COUNTED = ("finished", "stopped", "failed")
"""Only runs with these statuses are compared; others are still in the middle of training."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Arms of runs, their measures, and how the arms differ.

    Attributes:
        arms: The baseline first, the others in the order of their values.
        factors: The keys of the configuration that define the arms.
        constant: Key -> value, for the keys that have the same value in all runs.
        measures: What is compared.
        runs: One row per finished, stopped or failed run, indexed by id: `arm` (the label), `seed`,
            `outcome` (`failures.TrainingOutcome`), then the value of each measure by its name, NaN
            and infinities included; NaN for a run that did not finish.
        summary: One row per measure and arm: `metric`, `arm`, `runs`, then over the finite values
            `n`, `mean`, `median`, `std`, `min`, `max`.
        differences: One row per measure and arm except the baseline, as
            `differences.ArmDifferences.values` describes it.
        failures: One row per arm, as `differences.ArmDifferences.failures` describes it.
        tests: The size of the family of tests for which the p values are corrected.
        overridden: One sentence for each objection that `anyway` overruled.
        warnings: One sentence each: what was left out, and what else weakens the result.
    """

    arms: tuple[Arm, ...]
    factors: tuple[str, ...]
    constant: Mapping[str, Value]
    measures: tuple[Measure, ...]
    runs: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    failures: pd.DataFrame
    tests: int
    overridden: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        from analysis.comparison.conclusions import findings, verdict

        return "\n".join([verdict(self), *findings(self)])

    def _repr_html_(self) -> str:
        from analysis.comparison.html import comparison_html

        return comparison_html(self)

    @property
    def baseline(self) -> str:
        """The label of the arm with which the others are compared."""
        return self.arms[0].label

    @property
    def labels(self) -> list[str]:
        """The labels of the arms, the baseline's first."""
        return [arm.label for arm in self.arms]


def compare(
    runs: Runs,
    *,
    by: Sequence[str] = (),
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    anyway: bool = False,
) -> Comparison:
    """Compare the runs of each arm with those of the baseline.

    Finished runs are compared by their measures, and together with failed ones by how many failed.

    Args:
        runs: The runs; those that have neither finished, failed nor been stopped are left out.
        by: Keys of the configuration that define the arms, such as `init.scheme`. If empty: the
            factors of the sweep, or the one key in which the runs differ.
        metrics: As `measures.find_measures` takes them.
        baseline: The label of an arm, or its value; by default the first arm.
        anyway: Compare even if the arms differ in more than the factors, or were evaluated in
            different ways.

    Raises:
        NoArmsError: There are no arms: no run has finished, or only the seed differs.
        ComparisonError: The arms differ in more than the factors, metrics were not measured in
            the same way, or a key, metric or baseline does not exist.
    """
    table, warnings = _counted(runs.table)
    grouping = group_into_arms(table, by)
    overridden = [] if not grouping.others else [_refuse_or_override(table, grouping, anyway)]
    table = newest_of_twins(table, grouping, warnings)
    ids = [run for run in grouping.labels if run in table.index]
    finished = [run for run in ids if table.loc[run, f"{SYS}/status"] == "finished"]
    chosen = find_measures(runs, finished, metrics, anyway=anyway)
    frame = pd.DataFrame(
        {
            "arm": [grouping.labels[run] for run in ids],
            "seed": table.loc[ids, f"{SYS}/seed"].astype(int).tolist(),
            "outcome": training_outcomes(runs, ids),
        },
        index=pd.Index(ids, name="run"),
    )
    measured = read_measures(runs, finished, chosen.measures).reindex(ids)
    frame = frame.join(measured)
    label = _find_baseline(grouping, baseline)
    arms = _arms(frame, grouping, label)
    training = runs.final_means(TRAINING_METRICS, LAST, ids)
    warnings += chosen.left_out
    warnings += seed_warnings(table, arms, pd.concat([measured, training], axis=1))
    for measure in chosen.measures:
        if without := runs_without(runs, finished, measure):
            names = f"{', '.join(without[:3])}{', ...' * (len(without) > 3)}"
            warnings.append(f"{plural(len(without), 'run')} without {measure.words}: {names}.")
    if len(states := commits(table)) > 1:
        warnings.append(
            f"The runs were made with {len(states)} versions of the code: {', '.join(states)}."
        )
    differences = differences_from(label, frame, chosen.measures)
    return Comparison(
        arms=arms,
        factors=grouping.factors,
        constant=grouping.constant,
        measures=chosen.measures,
        runs=frame,
        summary=_summary(frame, chosen.measures),
        differences=differences.values,
        failures=differences.failures,
        tests=differences.tests,
        overridden=(*overridden, *chosen.overridden),
        warnings=(*warnings, *differences.warnings),
    )


def _arms(frame: pd.DataFrame, grouping: Grouping, baseline: str) -> tuple[Arm, ...]:
    """The baseline first, the others in the order of the grouping."""
    seeds: dict[str, dict[str, int]] = {label: {} for label in (baseline, *grouping.values)}
    for run, label, seed in zip(frame.index, frame["arm"], frame["seed"], strict=True):
        seeds[label][str(run)] = int(seed)
    return tuple(
        Arm.from_seeds(label, arm_seeds, grouping.values[label])
        for label, arm_seeds in seeds.items()
    )


def _counted(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The runs that finished, failed or were stopped, and a sentence on the others."""
    status = table[f"{SYS}/status"] if len(table) else pd.Series(dtype=object)
    if not (status == "finished").any():
        raise NoArmsError("There is no finished run to compare.\nList all runs with: dcgan runs")
    counted = table[status.isin(_COUNTED)]
    others = status[~status.isin(_COUNTED)].value_counts()
    if others.empty:
        return counted, []
    counts = ", ".join(f"{count} {name}" for name, count in others.items())
    return counted, [f"Left out because they did not finish: {counts}."]


def _refuse_or_override(table: pd.DataFrame, grouping: Grouping, anyway: bool) -> str:
    """A sentence on differences besides the factors; raises ComparisonError unless `anyway`."""
    lines = []
    for key in grouping.others[:8]:
        values = sorted(table[config_path(key)].map(to_text).unique())
        lines.append(f"{key}: {', '.join(map(_short, values[:4]))}{', ...' * (len(values) > 4)}")
    more = len(grouping.others) - len(lines)
    lines += [f"and {more} more keys"] if more else []
    factor = join_with_and(grouping.factors)
    if anyway:
        return (
            f"The runs differ in more than {factor}, so no difference can be attributed to it "
            f"alone: {'; '.join(lines)}."
        )
    usual = from_text(table[config_path(grouping.others[0])].map(to_text).mode()[0])
    condition = shlex.quote(f"{grouping.others[0]} == {_literal(usual)}")
    raise ComparisonError(
        f"The runs differ in more than {factor}, so a difference could not be attributed to it "
        "alone:\n  "
        + "\n  ".join(lines)
        + f"\nSelect similar runs, for example with --where {condition}, "
        f"add the key as a factor with --by {grouping.others[0]}, or compare with --anyway."
    )


def _literal(value: Value) -> str:
    """A value in an expression of --where: texts in double quotes, since a shell takes single."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _find_baseline(grouping: Grouping, wanted: str | None) -> str:
    if wanted is None:
        return next(iter(grouping.values))
    for label, values in grouping.values.items():
        plain = ", ".join(map(to_text, values))
        if wanted in (label, plain) or _reads_as(from_text(wanted), values):
            return label
    raise ComparisonError(
        f"--baseline {wanted}: there is no such arm.\nThe arms are: {'; '.join(grouping.values)}."
    )


def _reads_as(read: Value, values: tuple[Value, ...]) -> bool:
    """Whether a value is that of an arm; Python's 1 equals True, but is another value here."""
    return [read] == list(values) and isinstance(read, bool) == isinstance(values[0], bool)


def training_outcomes(runs: Runs, ids: Sequence[str]) -> list[TrainingOutcome]:
    """How the training of each run ended, in the order of `ids`."""
    runs.final_means(TRAINING_METRICS, LAST, ids)  # reads all runs at once
    rows = cast(dict[str, dict[str, Value]], runs.table.loc[list(ids)].to_dict("index"))
    return [
        training_outcome(
            rows[run],
            runs.tail_means(run, TRAINING_METRICS, LAST),
            _grids(runs.folder(run), rows[run]),
        )
        for run in ids
    ]


def _grids(folder: Path | None, fields: Mapping[str, Value]) -> Sequence[GridReading]:
    sides, count = image_sides(fields.get(IMAGE_SIZE)), fields.get(f"{CONFIG}/images/count")
    if folder is None or sides is None or not isinstance(count, int):
        return []
    return last_grids(folder, sides, count, fields.get(DATASET_SIZE))


def _summary(frame: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    rows = []
    for measure in measures:
        for arm, values in frame.groupby("arm", sort=False)[measure.name]:
            finite = values[np.isfinite(values)]
            numbers = finite.agg(["mean", "median", "std", "min", "max"])
            rows.append(
                {
                    "metric": measure.name,
                    "arm": arm,
                    "runs": len(values),
                    "n": len(finite),
                    **numbers.to_dict(),
                }
            )
    return pd.DataFrame(rows)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
