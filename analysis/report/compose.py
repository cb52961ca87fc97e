"""Composes a report: the question, the answer, then the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import cast

import numpy as np
import pandas as pd

from analysis.caveats import NO_QUALITY
from analysis.comparison.arms import Arm, NoArmsError
from analysis.comparison.compare import Comparison, compare, training_outcomes
from analysis.comparison.conclusions import (
    failures_of_one_arm,
    findings,
    outcomes_to_explain,
    verdict,
)
from analysis.comparison.failures import RULE
from analysis.comparison.measures import DEFAULTS
from analysis.comparison.tables import effect_table, failure_table, summary_table
from analysis.data_names import data_set_name
from analysis.health import examine
from analysis.report.content import Block, Commands, Facts, Prose, Report, Section
from analysis.report.figure_sections import (
    collapsed_runs,
    curve_figures,
    displayed_arms,
    run_figures,
    value_figures,
)
from analysis.report.generator_section import GeneratorImages, generator_section
from analysis.report.health_section import health_section
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
from analysis.report.score_table import score_sections
from analysis.runs import Runs
from tracking.events import BATCH, CONFIG, SWEEP, SYS, Value
from tracking.redaction import make_redactor, redact_fields
from tracking.wording import ANECDOTE, join_with_and, plural

_COMPARE_ARMS = "To see what a key of the configuration does, compare arms of several seeds."
NO_ARMS = "This report draws no conclusions."


def compose(
    runs: Runs,
    *,
    by: Sequence[str] = (),
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    anyway: bool = False,
    command: str = "",
    generated: GeneratorImages | None = None,
) -> Report:
    """Compose a report on runs: a comparison, or just their curves if they form no arms.

    Args:
        runs: All runs of the report.
        by: As for `comparison.compare`.
        metrics: As for `comparison.compare`.
        baseline: As for `comparison.compare`.
        anyway: As for `comparison.compare`.
        command: The command line that reproduces the report; left out if empty.
        generated: Images by the generator of a single run; None if it has no checkpoint.

    Raises:
        ComparisonError: The runs form arms, but cannot be compared as requested.
    """
    runs = _without_secrets(runs)
    if len(runs.table) == 1 and not by:
        caveat = Prose(f"{ANECDOTE} {_COMPARE_ARMS}", "note")
        return _without_arms(runs, caveat, command, generated)
    try:
        comparison = compare(runs, by=by, metrics=metrics, baseline=baseline, anyway=anyway)
    except NoArmsError as error:
        reason = str(error).splitlines()[0]
        return _without_arms(runs, Prose(f"{NO_ARMS} {reason}", "lead"), command)
    return _of_comparison(runs, comparison, command)


def _without_secrets(runs: Runs) -> Runs:
    """The runs with secrets redacted.

    Runs of other programs and of earlier versions were tracked without redaction.
    """
    redact = cache(make_redactor())
    table = runs.table.copy()
    for path in table.columns:
        values = cast(dict[str, Value], table[path].to_dict())
        cells = list(redact_fields(values, redact).values())
        table[path] = pd.Series(cells, table.index, dtype=object)
    return replace(runs, table=table)


def _of_comparison(runs: Runs, comparison: Comparison, command: str) -> Report:
    table = runs.table.loc[comparison.runs.index]
    arms, factors = displayed_arms(comparison), comparison.factors
    numbers = (
        summary_table(comparison),
        effect_table(comparison),
        failure_table(comparison),
    )
    sections = [
        Section("Answer", _answer(comparison)),
        Section("Values of every run", (value_figures(comparison, table),)),
        Section("During training", (curve_figures(runs, arms, collapsed_runs(comparison)),)),
        *_images(runs, arms),
        Section("Numbers", numbers),
        data_sets(table),
        configuration(table, factors),
        environment(table),
        *_reproduction(table, command),
        Section("Runs", (runs_of(comparison),), folded=True),
    ]
    verb = "Does" if len(factors) == 1 else "Do"
    question = f"{verb} {join_with_and(factors)} change the outcome?"
    sizes = "; ".join(f"{arm.label} ({plural(len(arm.runs), 'run')})" for arm in comparison.arms)
    return Report(question, Facts((("Arms", sizes), *_setting(table))), tuple(sections))


def _without_arms(
    runs: Runs, caveat: Prose, command: str, generated: GeneratorImages | None = None
) -> Report:
    table = runs.table
    health: list[Section] = []
    statuses = ("Status", join_values(distinct(table, f"{SYS}/status")))
    ids = [str(run) for run in table.index]
    arms = _arms_of_unlike_runs(table)
    if len(ids) == 1:
        named = "".join(f", {name}" for name in distinct(table, f"{SYS}/name") if name not in ids)
        title = f"The run {ids[0]}{named}"
        watch = examine(_fields(table, ids[0]), runs.steps(ids[0]), runs.folder(ids[0]))
        curves = run_figures(runs, ids[0], watch.findings)
        health = [Section("Health", health_section(watch))]
    else:
        recipes = join_values(distinct(table, f"{SYS}/recipe")) or "some recipe"
        title = f"{plural(len(ids), 'run')} of {recipes}"
        curves = curve_figures(runs, arms)
    outcomes = training_outcomes(runs, ids)
    metrics = [f"{BATCH}/{name}" for name in DEFAULTS]
    last = runs.last_values(ids).reindex(columns=metrics)
    rule = [Prose(RULE, "note")] if set(outcomes) != {"whole"} else []
    failures = [Prose(failures_of_one_arm(outcomes))] if len(ids) > 1 else []
    sections = [
        Section("What this report can show", (caveat, *failures, Prose(NO_QUALITY, "note"))),
        *health,
        Section("During training", (curves,)),
        *(score_sections(runs, ids[0]) if len(ids) == 1 else []),
        *_images(runs, arms),
        *([] if generated is None else [generator_section(generated)]),
        Section("Runs", (runs_alone(table, outcomes, last), *rule)),
        data_sets(table),
        configuration(table, ()),
        environment(table),
        *_reproduction(table, command),
    ]
    return Report(title, Facts((*_setting(table), statuses)), tuple(sections))


def _answer(comparison: Comparison) -> tuple[Block, ...]:
    return (
        *(Prose(objection, "warning") for objection in comparison.overridden),
        Prose(verdict(comparison), "lead"),
        *map(Prose, findings(comparison)),
        *(Prose(warning, "warning") for warning in comparison.warnings),
        Prose(f"{NO_QUALITY} {RULE}" if outcomes_to_explain(comparison) else NO_QUALITY, "note"),
    )


def _setting(table: pd.DataFrame) -> list[tuple[str, str]]:
    """A sentence on what was trained, on which data, with which seeds."""
    seeds = sorted(int(str(seed)) for seed in distinct(table, f"{SYS}/seed"))
    synthetic = ", SYNTHETIC" if is_synthetic(table) else ""
    size = join_values(distinct(table, f"{CONFIG}/dataset/size"))
    data = join_values(_data_names(table))
    rows = [
        ("Seeds", _range(seeds)),
        ("Recipe", join_values(distinct(table, f"{SYS}/recipe"))),
        ("Data set", f"{data}, {size} images{synthetic}" if data else ""),
        ("Epochs", join_values(distinct(table, f"{CONFIG}/training/epochs"))),
        ("Steps", join_values(distinct(table, f"{CONFIG}/training/steps"))),
        ("Sweep", join_values(distinct(table, f"{SWEEP}/id"))),
    ]
    return [(name, text) for name, text in rows if text]


def _data_names(table: pd.DataFrame) -> list[Value]:
    name, path = f"{CONFIG}/dataset/name", f"{CONFIG}/dataset/path"
    if path not in table:
        return distinct(table, name)
    named = table[table[name].notna()]
    pairs = zip(named[name], named[path].where(named[path].notna(), None), strict=True)
    return list(dict.fromkeys(data_set_name(*pair) for pair in pairs))


def _images(runs: Runs, arms: Sequence[Arm]) -> list[Section]:
    grids = image_series(runs, arms)
    return [] if grids is None else [Section("Images", (grids,))]


def _reproduction(table: pd.DataFrame, command: str) -> list[Section]:
    trained = [str(line) for line in distinct(table, f"{SYS}/command") if line]
    blocks: list[Block] = []
    if trained:
        shown = trained[:20]
        blocks += [Prose("The runs were made with:"), Commands(tuple(shown))]
        if len(trained) > len(shown):
            blocks.append(Prose(f"and {len(trained) - len(shown)} more command lines.", "note"))
    if command:
        blocks += [Prose("This report was made with:"), Commands((command,))]
    return [Section("How to reproduce this", tuple(blocks))] if blocks else []


def _fields(table: pd.DataFrame, run: str) -> dict[str, Value]:
    row = cast(dict[str, Value], table.loc[run].to_dict())
    return {path: value for path, value in row.items() if value is not None}


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
