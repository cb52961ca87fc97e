"""The scores of a single run in its report."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analysis.comparison.tables import Table, format_number
from analysis.report.content import Block, Prose, Section
from analysis.runs import Runs
from tracking.evaluation_paths import (
    BEST_STEP,
    EVALUATION_FIELDS,
    REAL_SCORES,
    SPREADS,
    score_name,
)
from tracking.events import Value
from tracking.metric_directions import direction_of
from tracking.wording import plural


def score_sections(runs: Runs, run: str) -> list[Section]:
    """The last score of a run by each metric, and of real images; empty without evaluation."""
    steps = runs.steps(run)
    fields = {str(path): value for path, value in runs.table.loc[run].to_dict().items()}
    rows = []
    for path in map(str, steps.columns):
        name = score_name(path)
        if name is None or (measured := steps[["step", path]].dropna()).empty:
            continue
        last = measured.iloc[-1]
        rows.append(
            (
                name,
                str(direction_of(name) or ""),
                f"{int(last['step']):,}",
                format_number(last[path]),
                _number(fields.get(f"{SPREADS}/{name}")),
                _number(fields.get(f"{REAL_SCORES}/{name}")),
            )
        )
    if not rows:
        return []
    columns = ("metric", "better", "step", "value", "spread", "real images")
    table = Table("Newest score by each metric", columns, tuple(rows), texts=2)
    blocks: list[Block] = [table]
    if isinstance(best := fields.get(BEST_STEP), int):
        blocks.append(Prose(f"The best checkpoint is that of step {best:,}.", "note"))
    blocks.append(Prose(_how(fields), "note"))
    return [Section("Scores", tuple(blocks))]


def _how(fields: Mapping[str, Value]) -> str:
    samples, resamples = (
        fields.get(f"{EVALUATION_FIELDS}/samples"),
        fields.get(f"{EVALUATION_FIELDS}/resamples"),
    )
    parts = []
    if isinstance(samples, int):
        sets = f" in each of {plural(resamples, 'set')}" if isinstance(resamples, int) else ""
        parts.append(f"{samples:,} fakes{sets}, and as many real images.")
    if network := fields.get(f"{EVALUATION_FIELDS}/feature_space"):
        parts.append(f"Features: {network}.")
    parts.append(
        "Spread: the standard deviation over sets of fakes. Values of other numbers of images, or "
        "of other features, cannot be compared with these."
    )
    return " ".join(parts)


def _number(value: Value | None) -> str:
    return format_number(float(value) if isinstance(value, int | float) else math.nan)
