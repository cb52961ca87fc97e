"""A store of two arms, and what a comparison says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.comparison.compare import Comparison
from analysis.comparison.differences import differences_from
from tests.support.sample_journals import write_journal


def two_arms(store: Path, seeds: Sequence[int], effect: float = 0.5) -> None:
    """Runs with and without weight initialisation; the latter's G loses by `effect` more."""
    draws = np.random.default_rng(0)
    for seed in seeds:
        noise = draws.normal(0, 0.1, 2)
        write_journal(store, f"with-{seed:06d}", seed=seed, losses=(1.5 + noise[0], 1.0))
        write_journal(
            store,
            f"without-{seed:06d}",
            seed=seed,
            losses=(1.5 + effect + noise[1], 1.0),
            created=2_000,
            init__scheme="default",
        )


def row(comparison: Comparison, metric: str, arm: str) -> pd.Series:
    table = comparison.differences
    return table[(table["metric"] == metric) & (table["arm"] == arm)].iloc[0]


def with_outcomes(comparison: Comparison, outcomes: Sequence[str]) -> Comparison:
    """The same comparison with other outcomes, in the order of the arms and seeds."""
    runs = comparison.runs.assign(outcome=list(outcomes))
    differences = differences_from(comparison.baseline, runs, comparison.measures)
    return replace(comparison, runs=runs, failures=differences.failures, tests=differences.tests)
