"""Arms: groups of runs that have the same values of the keys under comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from tracking.chosen_keys import DESCRIPTIONS, MEASURED_OF_DATA
from tracking.errors import UserError
from tracking.events import CONFIG, SWEEP, SYS, Value
from tracking.fields import config_key, to_text
from tracking.wording import did_you_mean

_MAX_SWEEPS = 5
"""How many sweeps an error lists, the newest last."""

_NO_PART_OF_TRAINING = (
    *DESCRIPTIONS,
    "seed",
    "dataset.path",  # the fingerprint says whether the images are the same
    "dataset.warnings",  # may be computed from other files of the data set
    "images.",
    "checkpoints.",
    "evaluation.",
)


class ComparisonError(UserError):
    """Runs cannot be compared as requested."""


class NoArmsError(ComparisonError):
    """The runs form no arms: none has finished, or they differ only in the seed."""


@dataclass(frozen=True)
class Arm:
    """Runs that differ only in the seed.

    Attributes:
        label: The values of the factors with their keys, such as `init.scheme=dcgan`.
        values: The value of each factor.
        runs: Run ids, in the order of their seeds.
        seeds: One per run, increasing; an arm has no seed twice.

    Raises:
        ValueError: The runs and seeds are not as described.
    """

    label: str
    values: tuple[Value, ...]
    runs: tuple[str, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.runs) != len(self.seeds):
            raise ValueError(
                f"The arm {self.label!r} has {len(self.runs)} runs but {len(self.seeds)} seeds."
            )
        for (first, seed), (second, next_seed) in pairwise(zip(self.runs, self.seeds, strict=True)):
            if seed == next_seed:
                raise ValueError(
                    f"The arm {self.label!r} has seed {seed} twice, in {first} and {second}. "
                    "Are these two arms with the same label?"
                )
            if seed > next_seed:
                raise ValueError(f"The runs of the arm {self.label!r} are not sorted by seed.")

    @classmethod
    def from_seeds(
        cls, label: str, seeds: Mapping[str, int], values: tuple[Value, ...] = ()
    ) -> Arm:
        """The arm of some runs, given in any order.

        Args:
            label: The name of the arm.
            seeds: Run id -> seed.
            values: The value of each factor; none if the runs were not divided by factors.

        Raises:
            ValueError: Two runs have the same seed.
        """
        runs = tuple(sorted(seeds, key=lambda run: seeds[run]))
        return cls(label, values, runs, tuple(seeds[run] for run in runs))

    @property
    def short_label(self) -> str:
        """Only the values, for places whose heading names the factors."""
        return ", ".join(map(to_text, self.values))


@dataclass(frozen=True)
class Grouping:
    """How the values of some keys divide runs, before any run is left out.

    Attributes:
        factors: The keys that divide the runs, such as `init.scheme`.
        labels: Run id -> label of its arm, in the order of the arms.
        values: Label -> the value of each factor, in the order of the arms.
        others: Keys other than the factors in which the runs differ.
        constant: Key -> value, for the keys that have the same value in all runs.
    """

    factors: tuple[str, ...]
    labels: Mapping[str, str]
    values: Mapping[str, tuple[Value, ...]]
    others: tuple[str, ...]
    constant: Mapping[str, Value]


def group_into_arms(table: pd.DataFrame, by: Sequence[str] = ()) -> Grouping:
    """Divide runs into arms.

    Args:
        table: One row per run, `tracking.tables.run_table`.
        by: The keys that define the arms. If empty: the factors of the sweep that all runs belong
            to, or the one key in which they differ.

    Returns:
        The groups in the order of their values: first what is switched off (null or an empty
        list), then numbers, then all else in alphabetical order.

    Raises:
        NoArmsError: Only the seed differs.
        ComparisonError: All runs have the same value of a key, no run has the key, or the runs
            differ in several keys and `by` is empty.
    """
    configurations = {
        config_key(column): table[column]
        for column in table.columns
        if column.startswith(f"{CONFIG}/")
    }
    texts = {key: as_texts(column) for key, column in configurations.items()}
    varying = [
        key for key, text in texts.items() if text.nunique() > 1 and _is_part_of_training(key)
    ]
    factors = tuple(by) or _default_factors(table, varying)
    for factor in factors:
        if factor not in configurations:
            raise _no_such_key(factor, list(configurations))
        if len(table) == 1:
            raise ComparisonError(
                f"There is only one run, {table.index[0]}: there is nothing to compare.\n"
                f"Train others with other values of {factor}, for example with dcgan sweep."
            )
        if texts[factor].nunique() < 2:
            value = next(iter(texts[factor]), "nothing")
            raise ComparisonError(
                f"All {len(table)} runs have {factor} = {value}: there is nothing to compare.\n"
                f"They differ in: {', '.join(varying) or 'only the seed'}."
            )
    tuples = {
        str(run): tuple(configurations[factor][run] for factor in factors) for run in table.index
    }
    labels = {
        run: ", ".join(f"{f}={to_text(v)}" for f, v in zip(factors, values, strict=True))
        for run, values in tuples.items()
    }
    distinct = dict(zip(labels.values(), tuples.values(), strict=True))
    by_label = dict(sorted(distinct.items(), key=lambda item: [*map(_rank, item[1])]))
    order = {label: position for position, label in enumerate(by_label)}
    return Grouping(
        factors=factors,
        labels=dict(sorted(labels.items(), key=lambda item: order[item[1]])),
        values=by_label,
        others=tuple(key for key in varying if not _follows(key, factors)),
        constant={
            key: column.iloc[0]
            for key, column in configurations.items()
            if texts[key].nunique() == 1
        },
    )


def as_texts(column: pd.Series) -> pd.Series:
    """Values as `tracking.fields.to_text` writes them."""
    # pandas' string type rejects a file name that is not valid UTF-8.
    return pd.Series([to_text(value) for value in column], column.index, dtype=object)


def _default_factors(table: pd.DataFrame, varying: Sequence[str]) -> tuple[str, ...]:
    arms = table.get(f"{SWEEP}/arm")
    if arms is not None and arms.notna().all() and table[f"{SWEEP}/id"].nunique() == 1:
        named = [key for key in varying if all(f"{key}=" in arm for arm in arms)]
        if named:
            return tuple(named)
    if len(varying) == 1:
        return (varying[0],)
    independent = [key for key in varying if key not in MEASURED_OF_DATA]
    if len(table) == 1:
        raise NoArmsError(
            f"There is no other run to compare {table.index[0]} with. Train arms that differ "
            "in one key, for example with dcgan sweep."
        )
    if not varying:
        raise NoArmsError(
            f"{_these(table)} in nothing but the seed: there are no arms to compare.\n"
            "A report shows how their outcome varies with the seed."
        )
    if sweeps := _sweeps(table):
        raise ComparisonError(
            f"{_these(table)} in {len(varying)} keys, but belong to sweeps. "
            "Choose a sweep with --sweep, or a factor with --by:\n  "
            + "\n  ".join((*(f"--sweep {sweep}" for sweep in sweeps[-_MAX_SWEEPS:]), *varying))
        )
    raise ComparisonError(
        f"{_these(table)} in {len(varying)} keys. Choose runs that differ in one, with --where or "
        f"by their ids, or the factor, for example with --by {(independent or varying)[0]}:\n  "
        + "\n  ".join(varying)
    )


def _these(table: pd.DataFrame) -> str:
    return f"These {len(table):,} runs differ"


def _sweeps(table: pd.DataFrame) -> list[str]:
    """The names of the sweeps that the runs belong to; ids where two sweeps share a name."""
    if f"{SWEEP}/id" not in table:
        return []
    names = table.dropna(subset=[f"{SWEEP}/id"]).groupby(f"{SWEEP}/id", sort=False)[f"{SWEEP}/name"]
    by_id = {str(sweep): str(of_sweep.iloc[0]) for sweep, of_sweep in names}
    several = Counter(by_id.values())
    return [name if several[name] == 1 else sweep for sweep, name in by_id.items()]


def _follows(key: str, factors: Sequence[str]) -> bool:
    """Whether a key is a factor, or changes whenever a factor does."""
    if key in MEASURED_OF_DATA and any(factor.startswith("dataset.") for factor in factors):
        return True
    lengths = {"training.epochs", "training.steps"}
    return key in factors or (key in lengths and bool(lengths & set(factors)))


def _is_part_of_training(key: str) -> bool:
    return not key.startswith(_NO_PART_OF_TRAINING)


def _rank(value: Value) -> tuple[int, float, str]:
    """The place of a value among those of its factor, of which the first is the baseline."""
    if value is None or value == []:
        return 0, 0, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 1, value, ""
    return 2, 0, to_text(value)


def _no_such_key(wrong: str, keys: Sequence[str]) -> ComparisonError:
    hint = did_you_mean(wrong, keys) or (
        "It should be a key of the recipe, such as init.scheme or optimizer.lr."
    )
    return ComparisonError(f"--by {wrong}: no run has such a key.\n{hint}")


def commits(table: pd.DataFrame) -> list[str]:
    """The commits of the runs' code, shortened; `with changes` marks uncommitted changes."""
    if f"{SYS}/git/commit" not in table:
        return []
    recorded = table[table[f"{SYS}/git/commit"].notna()]
    names = as_texts(recorded[f"{SYS}/git/commit"]).str[:7]
    if f"{SYS}/git/dirty" in table:  # W&B and imports may have only the commit
        changed = recorded[f"{SYS}/git/dirty"].eq(True)
        names = names.where(~changed, names + " with changes")
    return sorted(set(names))
