"""What a sweep consists of: every combination of some values, each with the same seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dcgan.config.loading import Override, load_config, parse_value
from dcgan.config.schema import Config, ConfigError
from tracking.fields import to_text
from tracking.redaction import make_redactor
from tracking.store import check_label

Key: TypeAlias = tuple[str, int]
"""What tells the runs of a sweep apart: the label of the arm, and the seed."""


@dataclass(frozen=True)
class Factor:
    """A key of the recipe and the values that it takes, and what the user typed to say so."""

    key: str
    values: tuple[Any, ...]
    origin: str


@dataclass(frozen=True)
class SweepArm:
    """One value of each factor.

    label: such as `optimizer.lr=0.002, init.scheme=dcgan`. short: the values alone.
    """

    label: str
    short: str


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep."""

    arm: SweepArm
    seed: int
    config: Config
    name: str

    @property
    def key(self) -> Key:
        return (self.arm.label, self.seed)


@dataclass(frozen=True)
class Sweep:
    """All runs, arm after arm within each seed, so that pairs are complete early."""

    name: str
    factors: tuple[Factor, ...]
    seeds: tuple[int, ...]
    trials: tuple[SweepRun, ...]

    @property
    def arms(self) -> list[SweepArm]:
        return list(dict.fromkeys(trial.arm for trial in self.trials))


def parse_factor(text: str) -> Factor:
    """`key=value,value`, each as `--set` takes it. Raises ConfigError where no value is given."""
    key, equals, values = text.partition("=")
    if not equals or not all(each.strip() for each in _split(values)):
        raise ConfigError(f"--over {text} lacks a value.\nWrite it as --over key=value,value.")
    parsed = tuple(parse_value(each.strip()) for each in _split(values))
    return Factor(key.strip(), parsed, f"--over {text}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0,3,14`. Raises ConfigError for what is no list of whole numbers."""
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--seed-list {text}: it should be whole numbers, such as --seed-list 0,3,14."
        ) from error


def plan_sweep(
    name: str,
    recipe: str,
    overrides: Sequence[Override],
    factors: Sequence[Factor],
    seeds: Sequence[int],
) -> Sweep:
    """Every combination of the factors' values with every seed.

    overrides: apply to all runs alike. Raises ConfigError where any of the runs could not
    start, where two would be the same, and where there are no seeds.
    """
    check_label(name)
    if not seeds:
        raise ConfigError("A sweep needs at least one seed: --seeds 5, or --seed-list 0,3,14.")
    if repeated := _repeated(seeds):
        raise ConfigError(f"The seed {repeated[0]} is given twice: its runs would be the same.")
    set_already = {override.key: override for override in overrides}
    if repeated := _repeated([factor.key for factor in factors]):
        raise ConfigError(f"{repeated[0]} is given twice: give all of its values in one --over.")
    for factor in factors:
        if factor.key == "seed":
            raise ConfigError("seed is no factor: every arm has the same seeds. Use --seed-list.")
        if other := set_already.get(factor.key):
            raise ConfigError(f"{factor.key} is set by {other.origin} and by {factor.origin}.")
        if repeated := _repeated(factor.values):
            value = to_text(repeated[0])
            raise ConfigError(f"{factor.key} = {value} is given twice ({factor.origin}).")
    trials = []
    for seed, values in itertools.product(seeds, itertools.product(*(f.values for f in factors))):
        chosen = [
            Override(factor.key, value, factor.origin)
            for factor, value in zip(factors, values, strict=True)
        ]
        config = load_config(
            recipe, [*overrides, *chosen, Override("seed", seed, f"the seed {seed}")]
        )
        arm = _arm(name, chosen)
        trials.append(SweepRun(arm, seed, config, f"{name}/{arm.short}/seed-{seed}"))
    for trial in trials:
        check_label(trial.name)
    return Sweep(name, tuple(factors), tuple(seeds), tuple(trials))


def _arm(name: str, chosen: Sequence[Override]) -> SweepArm:
    if not chosen:
        return SweepArm(name, "all")
    clean = make_redactor()  # as the journal has it, by which the runs are found again
    return SweepArm(
        label=clean(", ".join(f"{each.key}={to_text(each.value)}" for each in chosen)),
        short=clean(",".join(to_text(each.value) for each in chosen)),
    )


def _split(text: str) -> list[str]:
    """At commas, but not within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for each in text:
        if quote:
            quote = "" if each == quote else quote
        elif each in "\"'":
            quote = each
        else:
            depth += (each in "[{") - (each in "]}")
        if each == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += each
    return parts


def _repeated(values: Sequence[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value in values[:place]]
