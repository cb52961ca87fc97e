"""Checks whether the seeds of a comparison support its conclusions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from analysis.comparison.arms import Arm, ComparisonError, Grouping, as_texts
from analysis.comparison.measures import count_defaults
from analysis.comparison.power import min_pairs
from tracking.events import SWEEP, SYS
from tracking.fields import config_path
from tracking.wording import plural

_PLANNED = f"{SWEEP}/seeds"


def newest_of_twins(table: pd.DataFrame, grouping: Grouping, warnings: list[str]) -> pd.DataFrame:
    """Keep one run per arm and seed: a second one would count the same seed twice.

    Args:
        table: One row per run.
        grouping: The arms of the runs.
        warnings: A sentence on what is left out is appended.

    Raises:
        ComparisonError: A seed was not recorded, or runs of one arm and seed differ in another
            key, so that the choice of the newest would decide the result.
    """
    if f"{SYS}/seed" not in table or table[f"{SYS}/seed"].isna().any():
        without = [run for run in table.index if pd.isna(table.get(f"{SYS}/seed", {}).get(run))]
        raise ComparisonError(
            f"The seed of these runs was not recorded: {', '.join(without[:5])}.\n"
            "Leave them out with --where 'seed >= 0'."
        )
    rows = table.sort_values(f"{SYS}/created", kind="stable")
    keys = pd.DataFrame({"arm": pd.Series(grouping.labels), "seed": rows[f"{SYS}/seed"]})
    keys = keys.loc[rows.index]
    for same, twins in rows.groupby([keys["arm"], keys["seed"]], sort=False):
        arm, seed = same
        for key in grouping.others if len(twins) > 1 else ():
            texts = as_texts(twins[config_path(key)])
            if texts.nunique() > 1:
                seed = int(twins[f"{SYS}/seed"].iloc[0])  # no float: it may be above 2^53
                raise ComparisonError(
                    f"Runs with {arm} and seed {seed} differ in {key} "
                    f"({', '.join(f'{run}: {text}' for run, text in texts.items())}), so it is "
                    f"not clear which of them counts.\nAdd the key as a factor with --by {key}, "
                    "or select runs with --where."
                )
    older = keys.duplicated(keep="last")
    if older.any():
        count = int(older.sum())
        warnings.append(
            f"Left out: {plural(count, 'run')} with the same arm and seed as a newer one "
            f"({', '.join(map(str, older.index[older][:3]))}"
            f"{', ...' if count > 3 else ''})."
        )
    return rows[~older]


def few_seeds_warning(seeds: int, arms: int, feature_spaces: int, over: str) -> str | None:
    """A warning that no difference can be shown, with one arm or few seeds; None if it can.

    Args:
        seeds: Number of seeds per arm.
        arms: Number of arms.
        feature_spaces: In how many feature spaces the runs are evaluated during training.
        over: How the caller's user gives a second arm, such as `--over optimizer.lr=2e-4,2e-3`.
    """
    others, metrics = arms - 1, count_defaults(feature_spaces)
    if not others:
        return (
            "One arm has nothing to be compared with: its runs show only how much the outcome "
            f"varies with the seed. To compare values of a key: {over}"
        )
    needed, needed_by_one = min_pairs(others * metrics), min_pairs(others)
    if seeds >= needed:
        return None
    by_one = f", or {needed_by_one} for a single metric." if needed_by_one < needed else "."
    return (
        f"{plural(seeds, 'seed')} can show no difference in the {metrics} metrics that are "
        f"compared by default: that takes {needed} seeds{by_one}"
    )


def seed_warnings(table: pd.DataFrame, arms: Sequence[Arm], values: pd.DataFrame) -> Iterator[str]:
    """Warnings about missing or added seeds and about seeds without effect, a sentence each.

    Args:
        table: One row per run.
        arms: The arms of these runs.
        values: One row per run, one column per number that is known of it. The measures alone do
            not do: a count of classes may well be the same with all seeds.
    """
    planned = table[_PLANNED].dropna().astype(int) if _PLANNED in table else pd.Series(dtype=int)
    if len(planned):
        most, fewest = (pick(len(arm.runs) for arm in arms) for pick in (max, min))
        if most > planned.max():
            yield (
                f"An arm has {plural(most, 'run')}, but the sweep was planned with "
                f"{plural(int(planned.max()), 'seed')}. If seeds were added because of what the "
                "first ones showed, the true p values are larger than those given here."
            )
        elif fewest < planned.max():
            yield (
                f"An arm has {fewest} of {plural(int(planned.max()), 'planned run')}. Conclude "
                "nothing before all have ended: to stop at a moment of one's choice makes false "
                "positives likely."
            )
    for arm in arms:
        of_arm = values.loc[list(arm.runs)].to_numpy(np.float64)
        if (
            len(of_arm) > 1
            and of_arm.size
            and np.isfinite(of_arm).any()
            and np.all((of_arm == of_arm[0]) | np.isnan(of_arm))
        ):
            yield (
                f"All {len(of_arm)} runs with {arm.label} have the same values: does the seed "
                "reach the training?"
            )
