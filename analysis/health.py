"""Applies the rules of `diagnosis` to stored runs, of any store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image

from analysis.image_files import image_files
from diagnosis import RULES, RunWatch
from tracking.events import BATCH, FIXED_NOISE, NETWORKS, REAL, Value


def examine(fields: Mapping[str, Value], steps: pd.DataFrame, folder: Path | None) -> RunWatch:
    """Apply all rules to a stored run, exactly as during its training.

    Args:
        fields: The run's fields by path.
        steps: One row per step, `tracking.tables.step_table`.
        folder: The folder of the run's journal, which has its grids; None for other stores.

    Returns:
        A watch with the findings, and with the reasons why some rules could not be judged.
    """
    watch = RunWatch(fields)
    if folder is not None:
        for path in (REAL, FIXED_NOISE):
            for step, file in sorted(image_files(folder, path).items()):
                with PIL.Image.open(file) as picture:
                    watch.add_grid(path, step, np.asarray(picture))
    trained = steps[steps["step"] > 0]
    for path in trained.columns:
        # The metrics of the networks first: a step is judged once its batch metrics arrive.
        if str(path).startswith(f"{NETWORKS}/"):
            _add(watch, str(path), trained)
    batches = [path for path in trained.columns if str(path).startswith(f"{BATCH}/")]
    measured = trained[~_lacks(trained, batches)]
    for path in batches:
        _add(watch, str(path), measured)
    watch.finish()
    return watch


def nothing_found(watch: RunWatch) -> str:
    """The sentence for a run without findings, with the number of rules that this rests on."""
    judged = len(RULES) - len(watch.unknown)
    if not judged:
        return f"None of the {len(RULES)} rules can be judged in this run."
    return (
        f"{judged} of {len(RULES)} rules can be judged: none holds in this run, or held at any "
        "step."
    )


def _lacks(steps: pd.DataFrame, batches: list[str]) -> pd.Series:
    """Steps without a per-batch metric that have others, such as the means of an epoch.

    If all per-batch metrics are NaN and nothing else was recorded, NaN was measured.
    """
    others = steps.columns.difference([*batches, "run", "step", "time"])
    return steps[batches].isna().all(axis=1) & steps[others].notna().any(axis=1)


def _add(watch: RunWatch, path: str, steps: pd.DataFrame) -> None:
    """Add a metric's values; a NaN may be measured, or mark a step without a value."""
    column = steps[path]
    if path.startswith(f"{NETWORKS}/"):
        column = column[column.notna()]
    watch.add_series(path, steps.loc[column.index, "step"].tolist(), column.tolist())
