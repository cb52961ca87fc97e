"""Do the tests and intervals of a comparison hold what they promise, on simulated experiments?

In every cell, experiments are drawn whose truth is known: some runs per arm, one or several
metrics, values of some distribution. Holm's family is the metrics. Three things are counted:

- coverage: how often the intervals of all metrics hold the truth, at 95% together (the level of
  Holm's first step); for one metric, how often its 95% interval does;
- false positives: how often a difference is shown in any metric where there is none;
- power: how often the first metric is shown if it differs by the stated detectable effect, at the
  true spread, and the others do not differ.

Half of the spread between runs comes from the seed, which paired arms share. Skewed values are
exponential. Differences of pairs of such values are not skewed; "skewed differences" are those of
an arm that is exponential from one that is constant, the worst case. Tied ones are rounded to one
standard deviation. With unequal spread, the second arm's is three times the first's. Correlated
metrics share a latent value (0.8). Half-paired arms share every second seed.

    python benchmarks/statistical_tests.py [--experiments 2000] [--output FILE.json]

The name is not `statistics`: a script of that name would hide Python's module from the others.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from machine import describe_machine
from scipy import stats

from analysis.comparison.differences import arm_difference
from analysis.comparison.permutation_tests import studentised_p, subsets_of
from analysis.comparison.power import LEVEL
from analysis.comparison.statistics import ArmDifference, correct_family

Floats = npt.NDArray[np.float64]

DESIGNS = ("paired", "unpaired", "half-paired")
DISTRIBUTIONS = ("normal", "skewed", "skewed differences", "tied", "unequal spread")
RUNS = (6, 8, 10, 20)
FAMILIES = (1, 4, 7)
COVERAGE, FALSE_POSITIVES, POWER = (0.93, 0.97), 0.06, (0.75, 0.90)
_CORRELATION = 0.8
_BLOCK = 64
_TINY = 1e-9
_TIE = 1e-12
_TRIALS = 40


@dataclass(frozen=True)
class Cell:
    """What was counted in one kind of experiment.

    Attributes:
        design: How the seeds of the arms belong together.
        distribution: Of the values.
        runs: Per arm.
        metrics: In the family.
        correlated: Whether the metrics are.
        test: The test that the comparison chose: `pairs` or `no pairs`, with the number of values.
        coverage: Share of experiments whose intervals all hold the truth.
        false_positives: Share of experiments that show a difference although there is none.
        power: Share of experiments that show the detectable effect; None if none can be shown.
        reason: Why a number is outside its limits; empty if none is.
    """

    design: str
    distribution: str
    runs: int
    metrics: int
    correlated: bool
    test: str
    coverage: float
    false_positives: float
    power: float | None
    reason: str


def draw(
    rng: np.random.Generator, shape: tuple[int, int, int], distribution: str, correlated: bool
) -> Floats:
    """Values (runs, experiments, metrics) with mean 0 and standard deviation 1 before rounding."""
    normal = rng.normal(size=shape)
    if correlated:
        shared = rng.normal(size=(*shape[:2], 1))
        normal = np.sqrt(_CORRELATION) * shared + np.sqrt(1 - _CORRELATION) * normal
    if distribution.startswith("skewed"):
        return np.asarray(stats.expon.ppf(stats.norm.cdf(normal)) - 1)
    return normal


def experiments(
    rng: np.random.Generator, count: int, cell: tuple[str, str, int, int, bool]
) -> tuple[Floats, Floats, int]:
    """Values of both arms without a difference, (runs, experiments, metrics), and shared seeds."""
    design, distribution, runs, metrics, correlated = cell
    shape = (runs, count, metrics)
    shared = {"paired": runs, "unpaired": 0, "half-paired": runs // 2}[design]
    seeds = draw(rng, shape, "normal", correlated)
    own = [draw(rng, shape, distribution, correlated) for _ in range(2)]
    if distribution == "skewed differences":
        own[0] = np.zeros(shape)
    other_seeds = np.concatenate((seeds[:shared], draw(rng, shape, "normal", correlated)[shared:]))
    spread = 3 if distribution == "unequal spread" else 1
    first, second = seeds + own[0], other_seeds + spread * own[1]
    if distribution == "tied":
        first, second = np.round(first), np.round(second)
    return first, second, shared


def chosen_difference(first: Floats, second: Floats, shared: int, tests: int) -> ArmDifference:
    """What the comparison makes of one metric of one experiment."""
    runs = len(first)
    seeds = [*range(shared), *range(runs, 2 * runs - shared)]
    difference = arm_difference(pd.Series(first), pd.Series(second, index=seeds), tests)
    assert difference is not None
    return difference


def p_values(first: Floats, second: Floats, pairs: int) -> Floats:
    """p of no difference, (experiments, metrics). pairs: The number of pairs; 0 for none."""
    flat = [each.reshape(len(each), -1) for each in (first, second)]
    if pairs:
        subsets = subsets_of(pairs)
        differences = flat[1][:pairs] - flat[0][:pairs]
        p = np.concatenate(
            [
                sign_flip_p(subsets, differences[:, at : at + _BLOCK])
                for at in range(0, differences.shape[1], _BLOCK)
            ]
        )
    else:
        blocks = range(0, flat[0].shape[1], _BLOCK)
        p = np.concatenate(
            [studentised_p(*(each[:, at : at + _BLOCK] for each in flat)) for at in blocks]
        )
    return p.reshape(first.shape[1:])


def sign_flip_p(subsets: Floats, differences: Floats) -> Floats:
    """`SignFlipTest.p` of many comparisons at once. differences: (pairs, comparisons)."""
    sums = subsets @ differences
    tie = _TIE * np.abs(differences).max(axis=0)
    fewest = np.minimum((sums <= tie).sum(axis=0), (sums >= -tie).sum(axis=0))
    return np.minimum(1, 2 * (1 + fewest) / (len(subsets) + 1))


def detectable_effect(cell: tuple[str, str, int, int, bool]) -> float:
    """The effect that the comparison states at the true spread; infinite if it states none.

    The stated one is proportional to the spread that was measured, so it is averaged in its unit.
    """
    metrics = cell[3]
    rng = np.random.default_rng(1)
    first, second, shared = experiments(rng, _TRIALS, (*cell[:3], 1, False))
    effects = []
    many_first, many_second, _ = experiments(rng, 5_000, (*cell[:3], 1, False))
    for trial in range(_TRIALS):
        difference = chosen_difference(first[:, trial, 0], second[:, trial, 0], shared, metrics)
        if difference.paired:
            pairs = difference.counts[0]
            truth = (many_second - many_first)[:pairs].std()
            measured = difference.samples[0].std(ddof=1)
        else:
            truth = np.hypot(many_first.std(), many_second.std())
            measured = np.hypot(*(each.std(ddof=1) for each in difference.samples))
        effect = difference.minimum_detectable_effect(LEVEL / metrics)
        effects.append(effect * truth / measured)
    return float(np.median(effects))


def measure(cell: tuple[str, str, int, int, bool], count: int) -> Cell:
    """Simulate one kind of experiment."""
    design, distribution, runs, metrics, correlated = cell
    rng = np.random.default_rng([runs, metrics, correlated, *map(ord, design + distribution)])
    first, second, shared = experiments(rng, count, cell)
    difference = chosen_difference(first[:, 0, 0], second[:, 0, 0], shared, metrics)
    pairs = difference.counts[0] if difference.paired else 0
    p = p_values(first, second, pairs)
    _check_that_intervals_agree(first, second, shared, p)
    level = LEVEL / metrics * (1 + _TINY)
    shown = np.array([[test.shown for test in correct_family(row)] for row in p])
    power = None
    if np.isfinite(effect := detectable_effect(cell)):
        second[:, :, 0] += effect
        moved = p.copy()
        moved[:, 0] = p_values(first[:, :, :1], second[:, :, :1], pairs)[:, 0]
        power = float(np.mean([correct_family(row)[0].shown for row in moved]))
    counted = Cell(
        design=design,
        distribution=distribution,
        runs=runs,
        metrics=metrics,
        correlated=correlated,
        test=f"{pairs} pairs" if pairs else f"{runs} and {runs}",
        coverage=float(np.mean((p > level).all(axis=1))),
        false_positives=float(np.mean(shown.any(axis=1))),
        power=power,
        reason="",
    )
    return Cell(**{**asdict(counted), "reason": _reason(counted, difference.test.min_p)})


def _check_that_intervals_agree(first: Floats, second: Floats, shared: int, p: Floats) -> None:
    """Fail if an interval and its test contradict each other in one of some experiments."""
    metrics = first.shape[2]
    for experiment in range(0, first.shape[1], 100):
        difference = chosen_difference(
            first[:, experiment, 0], second[:, experiment, 0], shared, metrics
        )
        assert abs(difference.test.p() - p[experiment, 0]) < _TINY
        for level in (LEVEL, LEVEL / metrics):
            low, high = difference.test.interval(level)
            assert (low <= 0 <= high) == (difference.test.p() > level * (1 + _TINY))


def _reason(cell: Cell, min_p: float) -> str:
    """Why numbers are outside their limits; `UNEXPLAINED` where none of the reasons holds."""
    outside = []
    if not COVERAGE[0] <= cell.coverage <= COVERAGE[1]:
        outside.append("coverage")
    if cell.false_positives > FALSE_POSITIVES:
        outside.append("false positives")
    if cell.power is not None and not POWER[0] <= cell.power <= POWER[1]:
        outside.append("power")
    if not outside:
        return ""
    steps = max(1, int(LEVEL / cell.metrics / min_p))
    reasons = [
        ("nothing can be shown", cell.power is None),
        ("the skewed differences", cell.distribution == "skewed differences"),
        ("unequal spread", cell.distribution == "unequal spread" and "and" in cell.test),
        ("shared seeds that are not used", cell.design == "half-paired" and "and" in cell.test),
        ("ties", cell.distribution == "tied"),
        ("correlated metrics", cell.correlated),
        ("few pairs, so that p has few values", steps <= 3),
    ]
    named = [reason for reason, holds in reasons if holds]
    return f"{', '.join(outside)}: {named[0] if named else 'UNEXPLAINED'}"


def print_table(cells: Sequence[Cell]) -> None:
    """One row per design, distribution and number of runs, one column per family."""
    families = list(dict.fromkeys((cell.metrics, cell.correlated) for cell in cells))
    names = (
        f"{metrics} metric{'s' * (metrics > 1)}{', correlated' * correlated}"
        for metrics, correlated in families
    )
    print(f"| design | values | runs | test | {' | '.join(names)} |")
    print("|---" * (4 + len(families)) + "|")
    kinds = dict.fromkeys((cell.design, cell.distribution, cell.runs) for cell in cells)
    for kind in kinds:
        row = [cell for cell in cells if (cell.design, cell.distribution, cell.runs) == kind]
        tests = " or ".join(dict.fromkeys(cell.test for cell in row))
        print(f"| {kind[0]} | {kind[1]} | {kind[2]} | {tests} | {' | '.join(map(_text, row))} |")
    print(
        f"\n{sum(not cell.reason for cell in cells)} of {len(cells)} cells are within the limits."
    )
    print("A star marks the others. Why they are outside:\n")
    print("| outside | cells | lowest coverage | highest | most false positives |")
    print("|---|---|---|---|---|")
    for reason in sorted({cell.reason for cell in cells if cell.reason}):
        those = [cell for cell in cells if cell.reason == reason]
        coverages = [cell.coverage for cell in those]
        print(
            f"| {reason} | {len(those)} | {min(coverages):.3f} | {max(coverages):.3f} "
            f"| {max(cell.false_positives for cell in those):.3f} |"
        )


def _text(cell: Cell) -> str:
    power = "none" if cell.power is None else f"{cell.power:.2f}"
    return f"{cell.coverage:.3f}, {cell.false_positives:.3f}, {power}{' *' * bool(cell.reason)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--experiments", type=int, default=2_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    print(f"{describe_machine()}; {options.experiments:,} experiments a cell")
    print("Each cell: coverage, false positives, power.")
    cells = [
        measure((design, distribution, runs, metrics, correlated), options.experiments)
        for design, distribution, runs, metrics in itertools.product(
            DESIGNS, DISTRIBUTIONS, RUNS, FAMILIES
        )
        if distribution != "skewed differences" or design == "paired"
        for correlated in ((False, True) if metrics > 1 else (False,))
    ]
    print_table(cells)
    if options.output:
        options.output.write_text(
            json.dumps([asdict(cell) for cell in cells], indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
