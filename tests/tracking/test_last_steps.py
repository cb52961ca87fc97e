"""The end of a journal, read alone, is the end of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tracking.backends.local import METRICS_FILE, open_tracker, read_last_steps, read_steps, rewind
from tracking.events import Metrics
from tracking.tracker import Run


def journal(store: Path, steps: int, *, per_epoch: int = 100, nan_at: int | None = None) -> Path:
    """Random values; lines grow longer, so that no share of the bytes is one of the steps."""
    draws = np.random.default_rng(steps)
    tracker = open_tracker(Run("run-000001", "run", 1_000), store)
    for step in range(1, steps + 1):
        digits = 1 + 16 * step // steps
        value = round(float(draws.normal()), digits)
        values = {"training/batch/Gloss": [float("nan") if step == nan_at else value]}
        tracker.write(Metrics([step], [1_000 + step], values))
        if step % per_epoch == 0:
            tracker.write(Metrics([step], [1_001 + step], {"training/epoch/number": [1.0]}))
    tracker.close("finished")
    return store / "run-000001"


@pytest.mark.parametrize("steps", [1, 9, 10, 101, 7_000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_the_last_steps_are_those_of_the_whole(tmp_path: Path, steps: int, share: float) -> None:
    folder = journal(tmp_path, steps)
    whole = read_steps(folder)
    expected = whole[whole["step"] > steps - max(1, round(share * steps))].reset_index(drop=True)
    found = read_last_steps(folder, share)
    assert found["step"].tolist() == expected["step"].tolist()
    for column in found.columns:
        pd.testing.assert_series_equal(found[column], expected[column])


def test_of_a_long_journal_only_the_end_is_read(tmp_path: Path) -> None:
    folder = journal(tmp_path, 7_000)
    file = folder / METRICS_FILE
    content = bytearray(file.read_bytes())
    content[: len(content) // 2] = b"x" * (len(content) // 2)  # what is not read cannot fail
    file.write_bytes(content)
    assert len(read_last_steps(folder, 0.1)) == 700


def test_a_torn_line_is_dropped_and_a_rewound_run_has_its_new_end(tmp_path: Path) -> None:
    folder = journal(tmp_path, 50)
    with (folder / METRICS_FILE).open("ab") as file:
        file.write(b'{"step": 51, "time": 1, "training/ba')
    assert read_last_steps(folder, 0.1)["step"].tolist() == [46, 47, 48, 49, 50]
    rewind(folder, 30)
    assert read_last_steps(folder, 0.1)["step"].tolist() == [28, 29, 30]


def test_values_that_are_not_finite_are_values(tmp_path: Path) -> None:
    folder = journal(tmp_path, 20, nan_at=20)
    last = read_last_steps(folder, 0.1)
    assert np.isnan(last["training/batch/Gloss"].iloc[-1])
    assert np.isfinite(last["training/batch/Gloss"].iloc[0])


def test_a_run_without_steps_has_none(tmp_path: Path) -> None:
    folder = journal(tmp_path, 0)
    assert read_last_steps(folder, 0.1).empty
    assert list(read_last_steps(folder, 0.1).columns) == list(read_steps(folder).columns)
