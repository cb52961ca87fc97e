"""The runs of a sweep: every combination of its factors' values, each with the same seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import tomli_w

from dcgan.config.absolute_paths import with_absolute_paths
from dcgan.config.loading import ALTERNATIVES, Override, load_config, parse_value
from dcgan.config.schema import Config, ConfigError
from tracking.fields import to_text
from tracking.redaction import make_redactor
from tracking.store import check_label

RunKey: TypeAlias = tuple[str, int]
"""Identifies a run within its sweep: the label of its arm, and its seed."""


@dataclass(frozen=True)
class Factor:
    """A key of the recipe that a sweep varies.

    Attributes:
        key: Such as `optimizer.lr`.
        values: The values that the key takes, one per arm.
        origin: Where the user gave them, for messages: an option or a file.
    """

    key: str
    values: tuple[Any, ...]
    origin: str


@dataclass(frozen=True)
class SweepArm:
    """One value of each factor.

    Attributes:
        label: Keys and values, such as `optimizer.lr=0.002, init.scheme=dcgan`.
        short: Only the values, such as `0.002,dcgan`.
    """

    label: str
    short: str


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        arm: The arm that the run belongs to.
        seed: The run's seed.
        config: The run's configuration, with the arm's values and the seed.
        name: Such as `learning-rate/0.002/seed-3`.
    """

    arm: SweepArm
    seed: int
    config: Config
    name: str

    @property
    def key(self) -> RunKey:
        """The label of the arm, and the seed."""
        return (self.arm.label, self.seed)


@dataclass(frozen=True)
class Sweep:
    """A planned sweep.

    Attributes:
        name: The sweep's name.
        factors: The keys that vary and their values.
        seeds: The seeds of every arm.
        folder: Where relative paths among the factors' values begin.
        runs: All runs, seed by seed and within a seed arm by arm, so that the arms can be
            compared long before the sweep ends.
    """

    name: str
    factors: tuple[Factor, ...]
    seeds: tuple[int, ...]
    folder: Path
    runs: tuple[SweepRun, ...]

    @property
    def arms(self) -> list[SweepArm]:
        """The arms, in the order of their runs."""
        return list(dict.fromkeys(run.arm for run in self.runs))


def parse_factor(text: str) -> Factor:
    """Parse `key=value,value` with values as for `--set`; raises ConfigError if one is empty."""
    key, equals, values_text = text.partition("=")
    values = [value.strip() for value in _split_at_commas(values_text)]
    if not equals or not all(values):
        raise ConfigError(f"--over {text} lacks a value.\nWrite it as --over key=value,value.")
    return Factor(key.strip(), tuple(map(parse_value, values)), f"--over {text}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse `0,3,14`; raises ConfigError unless it is a list of whole numbers."""
    try:
        return tuple(int(seed) for seed in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--seed-list {text}: the seeds must be whole numbers, such as --seed-list 0,3,14."
        ) from error


def plan_sweep(
    name: str,
    recipe: str,
    overrides: Sequence[Override],
    factors: Sequence[Factor],
    seeds: Sequence[int],
    folder: Path | None = None,
) -> Sweep:
    """Combine every value of the factors with every seed.

    Args:
        name: The sweep's name, part of its runs' names.
        recipe: A recipe's name or the path of its file.
        overrides: Settings of all runs alike.
        factors: The keys that vary and their values; without factors there is one arm.
        seeds: The seeds of every arm.
        folder: Where relative paths begin; the working directory if omitted.

    Raises:
        ConfigError: A run's configuration is not valid, two runs would be the same, or there
            are no seeds.
        StoreError: A name is not plain text.
    """
    check_label(name)
    _check_factors(overrides, factors, seeds)
    folder = (folder or Path()).absolute()
    runs = []
    for seed, values in itertools.product(seeds, itertools.product(*(f.values for f in factors))):
        arm_overrides = [
            Override(factor.key, value, factor.origin)
            for factor, value in zip(factors, values, strict=True)
        ]
        config = load_config(
            recipe, [*overrides, *arm_overrides, Override("seed", seed, f"the seed {seed}")]
        )
        arm = _arm(name, arm_overrides)
        # Here, because a worker may have another working directory.
        config = with_absolute_paths(config, folder)
        runs.append(SweepRun(arm, seed, config, f"{name}/{arm.short}/seed-{seed}"))
    for run in runs:
        check_label(run.name)
    _check_runs([run for run in runs if run.seed == seeds[0]])
    return Sweep(name, tuple(factors), tuple(seeds), folder, tuple(runs))


def _check_factors(
    overrides: Sequence[Override], factors: Sequence[Factor], seeds: Sequence[int]
) -> None:
    """Raise ConfigError if there are no seeds or if anything is given twice."""
    if not seeds:
        raise ConfigError(
            "A sweep needs at least one seed: their number, such as 5, or a list of them."
        )
    if repeated := _repeated(seeds):
        raise ConfigError(f"The seed {repeated[0]} is given twice: its runs would be the same.")
    if repeated := _repeated([factor.key for factor in factors]):
        raise ConfigError(f"{repeated[0]} is given twice: give all of its values together.")
    overrides_by_key = {override.key: override for override in overrides}
    for factor in factors:
        if factor.key == "seed":
            raise ConfigError(
                "seed cannot be a factor: every arm has the same seeds. Choose those of the sweep."
            )
        if override := overrides_by_key.get(factor.key):
            raise ConfigError(f"{factor.key} is set by {override.origin} and by {factor.origin}.")
        section, _, _ = factor.key.partition(".")
        alternative = f"{section}.{ALTERNATIVES.get(factor.key, '')}"
        if override := overrides_by_key.get(alternative):
            raise ConfigError(
                f"{alternative} is set by {override.origin}, and {factor.key} by {factor.origin}: "
                "each replaces the other."
            )
        if not factor.values:
            raise ConfigError(f"{factor.key} ({factor.origin}) has no values: give at least one.")
        for value in factor.values:
            _check_storable(factor, value)
        if repeated := _repeated(factor.values):
            value = to_text(repeated[0])
            raise ConfigError(f"{factor.key} = {value} is given twice ({factor.origin}).")


def _check_storable(factor: Factor, value: Any) -> None:
    """Raise ConfigError for a value that the sweep's file cannot hold, such as None."""
    try:
        tomli_w.dumps({"value": value})
    except TypeError as error:
        raise ConfigError(
            f"{factor.key} = {value!r} ({factor.origin}) cannot be kept in the sweep's file.\n"
            "Give text, Python's own numbers, True, False, or lists of these."
        ) from error


def _check_runs(runs: Sequence[SweepRun]) -> None:
    """Raise ConfigError if two arms, which these runs are of, are the same under two labels.

    So are values of training.steps and of training.epochs: the later ones replace the others.
    """
    arms: dict[str, SweepArm] = {}
    for run in runs:
        same = arms.setdefault(run.config.model_dump_json(), run.arm)
        if same is not run.arm:
            raise ConfigError(f"The arms {same.label} and {run.arm.label} are the same.")


def _arm(name: str, overrides: Sequence[Override]) -> SweepArm:
    if not overrides:
        return SweepArm(name, "all")
    redact = make_redactor()  # as in the journals, whose labels identify the runs
    return SweepArm(
        label=redact(", ".join(f"{each.key}={to_text(each.value)}" for each in overrides)),
        short=redact(",".join(to_text(each.value) for each in overrides)),
    )


def _split_at_commas(text: str) -> list[str]:
    """Split at commas, except within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "[{") - (character in "]}")
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _repeated(values: Sequence[Any]) -> list[Any]:
    return [value for index, value in enumerate(values) if value in values[:index]]
