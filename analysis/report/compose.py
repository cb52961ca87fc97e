"""Puts a report together: what was asked first, then the answer, then all that it rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.comparison.arms import Arm, NoArmsError
from analysis.comparison.compare import Comparison, compare, endings, is_significant
from analysis.comparison.conclusions import CAVEAT, runs_that_broke, sentences, verdict
from analysis.comparison.failures import RULE
from analysis.comparison.measures import DEFAULTS
from analysis.comparison.tables import effect_table, summary_table
from analysis.comparison.tables import failure_table as endings_by_arm
from analysis.report.content import Block, Commands, Facts, Prose, Report, Section
from analysis.report.figure_sections import (
    collapsed,
    curve_figures,
    displayed_arms,
    run_figures,
    value_figures,
)
from analysis.report.image_series import image_series
from analysis.report.metadata_sections import (
    configuration,
    data_sets,
    distinct,
    environment,
    is_synthetic,
    join_values,
)
from analysis.report.run_tables import runs_alone, runs_of
from analysis.runs import Runs
from tracking.events import BATCH, CONFIG, SWEEP, SYS
from tracking.wording import plural

ANECDOTE = (
    "One run is an anecdote: another seed may end otherwise, and nothing here tells how far. "
    "What a key of the configuration does can be told from arms of several seeds alone."
)
FEW_ARMS = 3
"""Up to as many arms beside the baseline have a sentence each."""

NO_ARMS = "There are no arms to compare here, so nothing can be said of what causes what."


def compose(
    runs: Runs,
    *,
    by: Sequence[str] = (),
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    anyway: bool = False,
    command: str = "",
) -> Report:
    """A report on runs: their comparison, or their curves if there are no two arms.

    Args:
        runs: The runs.
        by: Configuration keys to compare by, as `comparison.compare` takes them.
        metrics: Names of metrics, likewise.
        baseline: The arm that the others are compared with, likewise.
        anyway: Compare even if the arms differ in more than the factor.
        command: The command line that makes this report again.

    Raises:
        ComparisonError: The runs can be compared, but not as asked.
    """
    if len(runs.table) == 1 and not by:
        return _without_arms(runs, ANECDOTE, command)
    try:
        comparison = compare(runs, by=by, metrics=metrics, baseline=baseline, anyway=anyway)
    except NoArmsError as error:
        return _without_arms(runs, f"{NO_ARMS} {str(error).splitlines()[0]}", command)
    return _of_comparison(runs, comparison, command)


def _of_comparison(runs: Runs, comparison: Comparison, command: str) -> Report:
    table = runs.table.loc[comparison.runs.index]
    arms, factors = displayed_arms(comparison), comparison.factors
    numbers = (
        summary_table(comparison),
        effect_table(comparison),
        endings_by_arm(comparison),
    )
    sections = [
        Section("Answer", _answer(comparison)),
        Section("Values of every run", (value_figures(comparison, table),)),
        Section("Over the training", (curve_figures(runs, arms, collapsed(comparison)),)),
        *_images(runs, arms),
        Section("Numbers", numbers),
        data_sets(table),
        configuration(table, factors),
        environment(table),
        *_repetition(table, command),
        Section("Runs", (runs_of(comparison),), folded=True),
    ]
    verb = "Does" if len(factors) == 1 else "Do"
    question = f"{verb} {' and '.join(factors)} change the outcome?"
    sizes = "; ".join(f"{arm.label} ({plural(len(arm.runs), 'run')})" for arm in comparison.arms)
    return Report(question, Facts((("Arms", sizes), *_setting(table))), tuple(sections))


def _without_arms(runs: Runs, caveat: str, command: str) -> Report:
    table = runs.table
    statuses = ("Status", join_values(distinct(table, f"{SYS}/status")))
    ids = [str(run) for run in table.index]
    arms = _arms_of_unlike_runs(table)
    if len(ids) == 1:
        title = f"The run {ids[0]}"
        curves = run_figures(runs, ids[0])
    else:
        title = (
            f"{len(ids)} runs of {join_values(distinct(table, f'{SYS}/recipe')) or 'some recipe'}"
        )
        curves = curve_figures(runs, arms)
    ends = endings(runs, ids)
    metrics = [f"{BATCH}/{name}" for name in DEFAULTS]
    last = runs.last_values(ids).reindex(columns=metrics)
    sections = [
        Section("What this can tell", (Prose(caveat, "lead"), Prose(CAVEAT, "note"))),
        Section("Over the training", (curves,)),
        *_images(runs, arms),
        Section("Runs", (runs_alone(table, ends, last), Prose(RULE, "note"))),
        data_sets(table),
        configuration(table, ()),
        environment(table),
        *_repetition(table, command),
    ]
    return Report(title, Facts((*_setting(table), statuses)), tuple(sections))


def _answer(comparison: Comparison) -> tuple[Block, ...]:
    return (
        Prose(verdict(comparison), "lead"),
        *map(Prose, _findings(comparison)),
        *(Prose(warning, "warning") for warning in comparison.warnings),
        Prose(f"{CAVEAT} {RULE}", "note"),
    )


def _findings(comparison: Comparison) -> list[str]:
    """A sentence an arm; of many arms only what was shown, as the tables tell the rest."""
    said = sentences(comparison)
    if len(said) <= FEW_ARMS:
        return [*said.values(), runs_that_broke(comparison)]
    rows = comparison.differences.to_dict("records")
    shown = {row["arm"] for row in rows if is_significant(row)}
    found = [sentence for arm, sentence in said.items() if arm in shown]
    rest = len(said) - len(shown)
    if rest and shown:
        found.append(f"Nothing was shown of the other {rest} arms against {comparison.baseline}.")
    elif rest:
        found.append(f"{rest} arms were held against {comparison.baseline}.")
    ends = comparison.endings
    broke = int((ends["collapsed"] + ends["diverged"]).sum())
    found.append(f"Collapsed or diverged: {broke} of {len(comparison.runs)} runs.")
    return [*found, "The tables below tell of each arm, and what could have been missed."]


def _setting(table: pd.DataFrame) -> list[tuple[str, str]]:
    """What was trained, with which seeds, on what."""
    seeds = sorted(int(str(seed)) for seed in distinct(table, f"{SYS}/seed"))
    synthetic = ", SYNTHETIC" if is_synthetic(table) else ""
    size = join_values(distinct(table, f"{CONFIG}/dataset/size"))
    data = join_values(distinct(table, f"{CONFIG}/dataset/name"))
    rows = [
        ("Seeds", _range(seeds)),
        ("Recipe", join_values(distinct(table, f"{SYS}/recipe"))),
        ("Data set", f"{data}, {size} images{synthetic}" if data else ""),
        ("Epochs", join_values(distinct(table, f"{CONFIG}/training/epochs"))),
        ("Sweep", join_values(distinct(table, f"{SWEEP}/id"))),
    ]
    return [(name, told) for name, told in rows if told]


def _images(runs: Runs, arms: Sequence[Arm]) -> list[Section]:
    grids = image_series(runs, arms)
    return [] if grids is None else [Section("Images", (grids,))]


def _repetition(table: pd.DataFrame, command: str) -> list[Section]:
    trained = [str(each) for each in distinct(table, f"{SYS}/command") if each]
    blocks: list[Block] = []
    if trained:
        shown = trained[:20]
        blocks += [Prose("The runs were made by:"), Commands(tuple(shown))]
        if len(trained) > len(shown):
            blocks.append(Prose(f"and {len(trained) - len(shown)} more command lines.", "note"))
    if command:
        blocks += [Prose("This report was made by:"), Commands((command,))]
    return [Section("How to repeat this", tuple(blocks))] if blocks else []


def _arms_of_unlike_runs(table: pd.DataFrame) -> list[Arm]:
    """One arm of all runs if no two have the same seed, otherwise each run on its own.

    A run that does not record its seed is given its position instead.
    """
    column = table.get(f"{SYS}/seed")
    seeds = {
        str(run): position if column is None or pd.isna(column[run]) else int(column[run])
        for position, run in enumerate(table.index)
    }
    if 1 < len(seeds) == len(set(seeds.values())):
        return [Arm.from_seeds("all runs", seeds)]
    return [Arm.from_seeds(run, {run: seed}) for run, seed in seeds.items()]


def _range(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and bool(np.all(np.diff(seeds) == 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
