"""What the rules of `diagnosis` find in runs that have been stored, whichever store they are in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image

from analysis.image_files import image_files
from diagnosis import RunWatch
from tracking.events import BATCH, FIXED_NOISE, NETWORKS, REAL, Value


def examine(fields: Mapping[str, Value], steps: pd.DataFrame, folder: Path | None) -> RunWatch:
    """Apply all rules to a stored run, exactly as during its training.

    Args:
        fields: Of the run, by path.
        steps: One row per step, `tracking.tables.step_table`.
        folder: Of the run's journal, which has its grids; None if it is read from another store.

    Returns:
        Its findings, and why some rules could not be judged.
    """
    watch = RunWatch(fields)
    if folder is not None:
        for path in (REAL, FIXED_NOISE):
            for step, file in sorted(image_files(folder, path).items()):
                with PIL.Image.open(file) as picture:
                    watch.add_grid(path, step, np.asarray(picture))
    trained = steps[steps["step"] > 0]
    for path in trained.columns:
        # Those of the networks first: a look at a step waits for the batches.
        if str(path).startswith(f"{NETWORKS}/"):
            _add(watch, str(path), trained)
    batches = [path for path in trained.columns if str(path).startswith(f"{BATCH}/")]
    measured = trained[~_lacks(trained, batches)]
    for path in batches:
        _add(watch, str(path), measured)
    watch.finish()
    return watch


def _lacks(steps: pd.DataFrame, batches: list[str]) -> pd.Series:
    """Steps at which no metric of batches was recorded, but others were, such as an epoch's means.

    Where all of them are NaN and nothing else was recorded, NaN was measured.
    """
    others = steps.columns.difference([*batches, "run", "step", "time"])
    return steps[batches].isna().all(axis=1) & steps[others].notna().any(axis=1)


def _add(watch: RunWatch, path: str, steps: pd.DataFrame) -> None:
    """Add a metric's values; NaN may be a value or the lack of one in a step with others."""
    column = steps[path]
    if path.startswith(f"{NETWORKS}/"):
        column = column[column.notna()]
    watch.add_series(path, steps.loc[column.index, "step"].tolist(), column.tolist())
