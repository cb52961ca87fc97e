"""Does a factor change the outcome, and can one believe it? Arms of runs held side by side."""

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
from analysis.comparison.failures import TrainingOutcome, ending, relative_variation
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

if TYPE_CHECKING:
    from analysis.runs import Runs

_LOSSES = (f"{BATCH}/Gloss", f"{BATCH}/Dloss")


@dataclass(frozen=True, eq=False)
class Comparison:
    """What arms of runs have in common and in what they differ.

    arms: of the runs. baseline: the label against which the others are held.
    measures: what is compared.
    runs: one row a run, indexed by id: `arm`, `seed`, `ending` (`endings.Ending`), then the
        value of each measure by its name, NaN and infinities included.
    summary: one row a measure and arm: `metric`, `arm`, `runs`, then over the finite values
        `n`, `mean`, `median`, `std`, `min`, `max`.
    differences: one row a measure and arm but the baseline: `metric`, `arm`, the fields of
        `statistics.Difference`, `p_holm` over all rows; of measures that can be compared.
    endings: one row an arm: `arm`, `runs`, `collapsed`, `diverged`, and `low`, `high`, the 95%
        interval of the share of both together.
    warnings: a sentence each: what was left out, and what else speaks against belief.
    """

    arms: tuple[Arm, ...]
    factors: tuple[str, ...]
    constant: Mapping[str, Value]
    measures: tuple[Measure, ...]
    runs: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    endings: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def baseline(self) -> str:
        """The label of the arm against which the others are held."""
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
        runs: The runs to compare.
        by: Configuration keys, such as `init.scheme`; by default those of the runs' sweep, or the
            one key in which they differ.
        metrics: Names, as `measures.find_measures` takes them.
        baseline: The label or the value of an arm; the first arm by default.
        anyway: Compare even if the arms differ in more than the factor.

    Raises:
        ComparisonError: There are no two arms, or they differ in more than the factor.
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
            "ending": endings(runs, ids),
        },
        index=pd.Index(ids, name="run"),
    ).join(measured(runs, ids, measures))
    arms = _arms(frame, grouping, _find_baseline(grouping, baseline))
    if len(states := commits(table)) > 1:
        warnings.append(f"The runs are of {len(states)} states of the code: {', '.join(states)}.")
    return Comparison(
        arms=arms,
        factors=grouping.factors,
        constant=grouping.constant,
        measures=tuple(measures),
        runs=frame,
        summary=_summary(frame, measures),
        differences=_differences(frame, measures, arms[0].label, warnings),
        endings=_count_endings(frame),
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
    """Runs that came to their end: the others are at another point of their training."""
    status = table[f"{SYS}/status"] if len(table) else pd.Series(dtype=object)
    finished = table[status == "finished"]
    others = status[status != "finished"].value_counts()
    if finished.empty:
        raise NoArmsError(
            "There is no finished run to compare.\nSee what there is with: dcgan runs"
        )
    if others.empty:
        return finished, []
    counts = ", ".join(f"{count} {name}" for name, count in others.items())
    return finished, [f"Left out, as they have not finished: {counts}."]


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
        f"The runs differ in more than {factor}, so no difference could be laid to it alone:\n  "
        + "\n  ".join(lines)
        + f"\nChoose runs that are alike, such as --where '{grouping.others[0]} == {usual!r}', "
        f"add the key as a factor with --by {grouping.others[0]}, or give --anyway."
    )


def _newest_of_twins(table: pd.DataFrame, grouping: Grouping, warnings: list[str]) -> pd.DataFrame:
    """One run an arm and seed: a second one would count the same seed twice."""
    if f"{SYS}/seed" not in table or table[f"{SYS}/seed"].isna().any():
        without = [run for run in table.index if pd.isna(table.get(f"{SYS}/seed", {}).get(run))]
        raise ComparisonError(
            f"These runs do not say which seed they had: {', '.join(without[:5])}.\n"
            "Leave them out with --where 'seed >= 0'."
        )
    rows = table.sort_values(f"{SYS}/created", kind="stable")
    keys = pd.DataFrame({"arm": pd.Series(grouping.labels), "seed": rows[f"{SYS}/seed"]})
    older = keys.loc[rows.index].duplicated(keep="last")
    if older.any():
        count = int(older.sum())
        warnings.append(
            f"Left out: {count} {'run' if count == 1 else 'runs'} of an arm and a seed of which "
            f"there is a newer one ({', '.join(map(str, older.index[older][:3]))}"
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


def endings(runs: Runs, ids: Sequence[str]) -> list[TrainingOutcome]:
    """How each run ended, in the order of `ids`."""
    final = runs.final_means(_LOSSES, LAST, ids).to_dict("index")
    rows = cast(dict[str, dict[str, Value]], runs.table.loc[list(ids)].to_dict("index"))
    return [
        ending(
            rows[run],
            {str(path): value for path, value in final[run].items()},
            _variation(runs.folder(run), rows[run]),
        )
        for run in ids
    ]


def _variation(folder: Path | None, fields: Mapping[str, Value]) -> float:
    size, count = (fields.get(f"{CONFIG}/{key}") for key in ("dataset/image_size", "images/count"))
    if folder is None or not isinstance(size, int) or not isinstance(count, int):
        return float("nan")
    return relative_variation(folder, size, count)


def _count_endings(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for arm, ends in frame.groupby("arm", sort=False)["ending"]:
        collapsed, diverged = (int((ends == each).sum()) for each in ("collapsed", "diverged"))
        low, high = wilson_interval(collapsed + diverged, len(ends))
        rows.append((arm, len(ends), collapsed, diverged, low, high))
    return pd.DataFrame(rows, columns=["arm", "runs", "collapsed", "diverged", "low", "high"])


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
            str(arm): each.set_index("seed")[measure.name]
            for arm, each in frame.groupby("arm", sort=False)
        }
        first = by_arm.pop(baseline)
        for arm, second in by_arm.items():
            result = _difference(first, second)
            if result is None:
                warnings.append(f"{arm}: {measure.words} cannot be compared, no value is finite.")
                continue
            if (lost := len(first) + len(second) - sum(result.counts)) > 0:
                warnings.append(
                    f"{arm}: {measure.words} leaves out {lost} of {len(first) + len(second)} runs "
                    "that have no finite value, or whose twin has none: what is left is kinder."
                )
            rows.append({"metric": measure.name, "arm": arm, **asdict(result)})
    columns = ["metric", "arm", *EffectEstimate.__dataclass_fields__]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=holm_adjust(table["p"].tolist()))


def _difference(first: pd.Series, second: pd.Series) -> EffectEstimate | None:
    """Paired where most seeds of the two arms are the same."""
    shared = first.index.intersection(second.index)
    paired = 2 * len(shared) >= max(len(first), len(second))
    if paired:
        first, second = first.loc[shared], second.loc[shared]
        whole = np.isfinite(first.to_numpy()) & np.isfinite(second.to_numpy())
        first, second = first[whole], second[whole]
    one, other = (each.to_numpy(np.float64) for each in (first, second))
    one, other = one[np.isfinite(one)], other[np.isfinite(other)]
    if not len(one) or not len(other):
        return None
    return paired_difference(one, other) if paired else unpaired_difference(one, other)


def is_significant(difference: Mapping[Any, Any]) -> bool:
    """Whether a row of `Comparison.differences` may be believed at the 5% level.

    Of fewer than 6 pairs, or fewer than 6 runs an arm, nothing may.
    """
    return bool(min(difference["counts"]) >= LEAST_PAIRS and difference["p_holm"] < LEVEL)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
