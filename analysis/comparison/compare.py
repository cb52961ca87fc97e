"""Does a factor change the outcome, and is the evidence sufficient? Arms of runs compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
from analysis.comparison.failures import TrainingOutcome, relative_variation, training_outcome
from analysis.comparison.measures import LAST, Measure, find_measures, measured
from analysis.comparison.statistics import (
    LEAST_PAIRS,
    LEVEL,
    EffectEstimate,
    holm_adjust,
    paired_difference,
    unpaired_difference,
    wilson_interval,
)
from tracking.events import BATCH, CONFIG, SYS, Value
from tracking.fields import config_path, from_text, to_text
from tracking.wording import plural

if TYPE_CHECKING:
    from analysis.runs import Runs

_LOSSES = (f"{BATCH}/Gloss", f"{BATCH}/Dloss")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Arms of runs, what was measured of them, and how the arms differ.

    Attributes:
        arms: The baseline first, the others in the order of their values.
        factors: The keys of the configuration that define the arms.
        constant: Key -> value, for the keys that have the same value in all runs.
        measures: What is compared.
        runs: One row per run, indexed by id: `arm` (the label), `seed`, `outcome`
            (`failures.TrainingOutcome`), then the value of each measure by its name, NaN and
            infinities included.
        summary: One row per measure and arm: `metric`, `arm`, `runs`, then over the finite values
            `n`, `mean`, `median`, `std`, `min`, `max`.
        differences: One row per measure and arm except the baseline: `metric`, `arm`, the fields
            of `statistics.EffectEstimate`, and `p_holm`, corrected for the number of rows.
            Measures without finite values are left out.
        failures: One row per arm: `arm`, `runs`, `collapsed`, `diverged`, and `ci_low`, `ci_high`,
            the 95% interval of the share of both together.
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
    warnings: tuple[str, ...]

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
    """Compare the finished runs of each arm with those of the baseline.

    Args:
        runs: The runs; those that have not finished are left out.
        by: Keys of the configuration that define the arms, such as `init.scheme`. If empty: the
            factors of the sweep, or the one key in which the runs differ.
        metrics: As `measures.find_measures` takes them.
        baseline: The label of an arm, or its value; the first arm by default.
        anyway: Compare although the arms differ in more than the factors.

    Raises:
        NoArmsError: There are no arms: no run has finished, or only the seed differs.
        ComparisonError: The arms differ in more than the factors, or a key, metric or baseline
            does not exist.
    """
    table, warnings = _finished(runs.table)
    grouping = group_into_arms(table, by)
    if grouping.others:
        _refuse_or_warn(table, grouping, anyway, warnings)
    table = _newest_of_twins(table, grouping, warnings)
    ids = [run for run in grouping.labels if run in table.index]
    measures = find_measures(runs, ids, metrics)
    frame = pd.DataFrame(
        {
            "arm": [grouping.labels[run] for run in ids],
            "seed": table.loc[ids, f"{SYS}/seed"].astype(int).tolist(),
            "outcome": training_outcomes(runs, ids),
        },
        index=pd.Index(ids, name="run"),
    ).join(measured(runs, ids, measures))
    arms = _arms(frame, grouping, _find_baseline(grouping, baseline))
    if len(states := commits(table)) > 1:
        warnings.append(
            f"The runs were made with {len(states)} versions of the code: {', '.join(states)}."
        )
    return Comparison(
        arms=arms,
        factors=grouping.factors,
        constant=grouping.constant,
        measures=tuple(measures),
        runs=frame,
        summary=_summary(frame, measures),
        differences=_differences(frame, measures, arms[0].label, warnings),
        failures=_count_failures(frame),
        warnings=tuple(warnings),
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


def _finished(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out runs that did not finish: they are at another point of their training."""
    status = table[f"{SYS}/status"] if len(table) else pd.Series(dtype=object)
    finished = table[status == "finished"]
    others = status[status != "finished"].value_counts()
    if finished.empty:
        raise NoArmsError("There is no finished run to compare.\nList all runs with: dcgan runs")
    if others.empty:
        return finished, []
    counts = ", ".join(f"{count} {name}" for name, count in others.items())
    return finished, [f"Left out because they did not finish: {counts}."]


def _refuse_or_warn(
    table: pd.DataFrame, grouping: Grouping, anyway: bool, warnings: list[str]
) -> None:
    lines = []
    for key in grouping.others[:8]:
        values = sorted(table[config_path(key)].map(to_text).unique())
        lines.append(f"{key}: {', '.join(map(_short, values[:4]))}{', ...' * (len(values) > 4)}")
    more = len(grouping.others) - len(lines)
    lines += [f"and {more} more keys"] if more else []
    factor = " and ".join(grouping.factors)
    if anyway:
        warnings.append(f"The runs differ in more than {factor}: {'; '.join(lines)}.")
        return
    usual = from_text(table[config_path(grouping.others[0])].map(to_text).mode()[0])
    raise ComparisonError(
        f"The runs differ in more than {factor}, so a difference could not be attributed to it "
        "alone:\n  "
        + "\n  ".join(lines)
        + f"\nSelect similar runs, for example with --where '{grouping.others[0]} == {usual!r}', "
        f"add the key as a factor with --by {grouping.others[0]}, or compare with --anyway."
    )


def _newest_of_twins(table: pd.DataFrame, grouping: Grouping, warnings: list[str]) -> pd.DataFrame:
    """Keep one run per arm and seed: a second one would count the same seed twice."""
    if f"{SYS}/seed" not in table or table[f"{SYS}/seed"].isna().any():
        without = [run for run in table.index if pd.isna(table.get(f"{SYS}/seed", {}).get(run))]
        raise ComparisonError(
            f"The seed of these runs was not recorded: {', '.join(without[:5])}.\n"
            "Leave them out with --where 'seed >= 0'."
        )
    rows = table.sort_values(f"{SYS}/created", kind="stable")
    keys = pd.DataFrame({"arm": pd.Series(grouping.labels), "seed": rows[f"{SYS}/seed"]})
    older = keys.loc[rows.index].duplicated(keep="last")
    if older.any():
        count = int(older.sum())
        warnings.append(
            f"Left out: {plural(count, 'run')} with the same arm and seed as a newer one "
            f"({', '.join(map(str, older.index[older][:3]))}"
            f"{', ...' if count > 3 else ''})."
        )
    return rows[~older]


def _find_baseline(grouping: Grouping, wanted: str | None) -> str:
    if wanted is None:
        return next(iter(grouping.values))
    for label, values in grouping.values.items():
        plain = ", ".join(map(to_text, values))
        if wanted in (label, plain) or [from_text(wanted)] == list(values):
            return label
    raise ComparisonError(
        f"--baseline {wanted}: there is no such arm.\nThe arms are: {'; '.join(grouping.values)}."
    )


def training_outcomes(runs: Runs, ids: Sequence[str]) -> list[TrainingOutcome]:
    """How the training of each run ended, in the order of `ids`."""
    final_means = runs.final_means(_LOSSES, LAST, ids).to_dict("index")
    rows = cast(dict[str, dict[str, Value]], runs.table.loc[list(ids)].to_dict("index"))
    return [
        training_outcome(
            rows[run],
            {str(path): value for path, value in final_means[run].items()},
            _variation(runs.folder(run), rows[run]),
        )
        for run in ids
    ]


def _variation(folder: Path | None, fields: Mapping[str, Value]) -> float:
    size, count = (fields.get(f"{CONFIG}/{key}") for key in ("dataset/image_size", "images/count"))
    if folder is None or not isinstance(size, int) or not isinstance(count, int):
        return float("nan")
    return relative_variation(folder, size, count)


def _count_failures(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for arm, outcomes in frame.groupby("arm", sort=False)["outcome"]:
        collapsed, diverged = (int((outcomes == name).sum()) for name in ("collapsed", "diverged"))
        ci_low, ci_high = wilson_interval(collapsed + diverged, len(outcomes))
        rows.append((arm, len(outcomes), collapsed, diverged, ci_low, ci_high))
    columns = ["arm", "runs", "collapsed", "diverged", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


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


def _differences(
    frame: pd.DataFrame, measures: Sequence[Measure], baseline: str, warnings: list[str]
) -> pd.DataFrame:
    rows = []
    for measure in measures:
        by_arm = {
            str(arm): arm_runs.set_index("seed")[measure.name]
            for arm, arm_runs in frame.groupby("arm", sort=False)
        }
        first = by_arm.pop(baseline)
        for arm, second in by_arm.items():
            effect = _effect(first, second)
            total = len(first) + len(second)
            if effect is None:
                warnings.append(
                    f"{arm}: the {measure.words} cannot be compared because no value is finite."
                )
                continue
            if (lost := total - sum(effect.counts)) > 0:
                warnings.append(
                    f"{arm}: the comparison of the {measure.words} leaves out {lost} of {total} "
                    "runs, because they or the runs with the same seed have no finite value. The "
                    "remaining runs may look better than all of them would."
                )
            rows.append({"metric": measure.name, "arm": arm, **asdict(effect)})
    columns = ["metric", "arm", *EffectEstimate.__dataclass_fields__]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm_adjust(table["p"].tolist()))


def _effect(first: pd.Series, second: pd.Series) -> EffectEstimate | None:
    """The difference of two arms, paired if they share at least half of their seeds.

    first, second: The values of each arm, indexed by seed. None if an arm has no finite value.
    """
    shared = first.index.intersection(second.index)
    paired = 2 * len(shared) >= max(len(first), len(second))
    if paired:
        first, second = first.loc[shared], second.loc[shared]
        finite = np.isfinite(first.to_numpy()) & np.isfinite(second.to_numpy())
        first, second = first[finite], second[finite]
    first_values, second_values = (
        values.to_numpy(np.float64)[np.isfinite(values.to_numpy(np.float64))]
        for values in (first, second)
    )
    if not len(first_values) or not len(second_values):
        return None
    compare_values = paired_difference if paired else unpaired_difference
    return compare_values(first_values, second_values)


def is_significant(difference: Mapping[Any, Any]) -> bool:
    """Whether a row of `Comparison.differences` is significant at the 5% level.

    With fewer than 6 pairs, or 6 runs per arm, none is.
    """
    return bool(min(difference["counts"]) >= LEAST_PAIRS and difference["p_holm"] < LEVEL)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
