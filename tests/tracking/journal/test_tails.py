"""The last values, read from the end of a journal, are those of the whole journal."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tracking.backends.local import METRICS_FILE, load_tails, open_tracker, rewind
from tracking.events import Metrics
from tracking.tracker import Run

RUN = Run("run-000001", "run", 1_000)
GLOSS, D_X, CPU = "training/batch/Gloss", "training/batch/D_x", "system/cpu"
NUMBER = "training/epoch/number"
ODD = {0: math.nan, 1: math.inf, 2: -math.inf}


def write(store: Path, first: int, last: int, *, seed: int = 0, odd: float = 0.0) -> pd.DataFrame:
    """Write steps of a run, `last` included, and return one row per value.

    A fraction `odd` of the steps has a value that is not finite. Lines grow longer, and epochs
    and samples of usage come between them, so that a fraction of the bytes is never the same
    fraction of the steps.
    """
    draws = np.random.default_rng(seed)
    tracker = open_tracker(RUN, store)
    rows: list[tuple[str, int, float]] = []
    for step in range(first, last + 1):
        digits = 1 + 15 * step // last
        values = {path: round(float(draws.normal()), digits) for path in (GLOSS, D_X)}
        if draws.random() < odd:
            values[(GLOSS, D_X)[step % 2]] = ODD[step % 3]
        blocks = [values]
        blocks += [{CPU: float(step)}] if step % 7 == 0 else []
        blocks += [{NUMBER: step / 100}] if step % 100 == 0 else []
        for block in blocks:
            tracker.write(Metrics([step], [step], {path: [v] for path, v in block.items()}))
            rows += [(path, step, value) for path, value in block.items()]
    tracker.close("finished")
    return pd.DataFrame(rows, columns=["path", "step", "value"])


def tails(written: pd.DataFrame, fraction: float) -> dict[str, list[tuple[int, float]]]:
    values = {}
    for path, rows in written.groupby("path"):
        last = rows["step"].max()
        tail = rows[rows["step"] > last - max(1, round(fraction * last))]
        values[str(path)] = list(zip(tail["step"], tail["value"], strict=True))
    return values


def assert_read(store: Path, written: pd.DataFrame, fraction: float) -> None:
    expected = tails(written, fraction)
    for paths in ([GLOSS], [D_X, GLOSS], [CPU], [NUMBER, GLOSS]):
        read = load_tails(store, RUN.id, [*paths, "no/such"], fraction)
        assert list(read) == [path for path in paths if path in expected]
        for path, series in read.items():
            steps, values = zip(*expected[path], strict=True)
            assert tuple(series.index) == steps
            np.testing.assert_array_equal(series, values)


@pytest.mark.parametrize("steps", [1, 9, 15, 101, 3_000])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_the_tail_is_that_of_all_steps(tmp_path: Path, steps: int, fraction: float) -> None:
    assert_read(tmp_path, write(tmp_path, 1, steps, seed=steps), fraction)


@pytest.mark.parametrize("odd", [0.002, 0.3, 1.0])
def test_what_is_not_finite_is_there_and_what_was_not_measured_is_not(
    tmp_path: Path, odd: float
) -> None:
    assert_read(tmp_path, write(tmp_path, 1, 2_000, odd=odd), 0.1)


def test_a_series_of_nothing_but_nan_is_read_as_such(tmp_path: Path) -> None:
    tracker = open_tracker(RUN, tmp_path)
    for step in range(1, 31):
        tracker.write(Metrics([step], [step], {GLOSS: [math.nan]}))
        tracker.write(Metrics([step], [step], {CPU: [1.0]}))
    tracker.close("finished")
    read = load_tails(tmp_path, RUN.id, [GLOSS, CPU], 0.1)
    assert np.isnan(read[GLOSS]).all()
    assert len(read[GLOSS]) == len(read[CPU]) == 3


def test_a_torn_line_is_dropped_and_a_resumed_run_has_its_new_end(tmp_path: Path) -> None:
    written = write(tmp_path, 1, 2_500)
    folder = tmp_path / RUN.id
    with (folder / METRICS_FILE).open("ab") as file:
        file.write(b'{"step": 2501, "time": 1, "training/batch/Gl')
    assert_read(tmp_path, written, 0.1)
    rewind(folder, 1_900)
    again = pd.concat([written[written["step"] <= 1_900], write(tmp_path, 1_901, 2_200, seed=1)])
    assert_read(tmp_path, again, 0.1)


def test_a_metric_that_was_appended_later_does_not_hide_the_end_of_another(tmp_path: Path) -> None:
    """As by a second import of a run that has a new metric by then."""
    written = write(tmp_path, 1, 3_000)
    tracker = open_tracker(RUN, tmp_path)
    steps = list(range(1, 3_001))
    tracker.write(Metrics(steps, steps, {"new": [0.5] * 3_000}))
    tracker.close("finished")
    assert_read(tmp_path, written, 0.1)
    assert len(load_tails(tmp_path, RUN.id, ["new"], 0.1)["new"]) == 300


def test_of_a_long_journal_only_the_end_is_read(tmp_path: Path) -> None:
    written = write(tmp_path, 1, 7_000)
    file = tmp_path / RUN.id / METRICS_FILE
    content = bytearray(file.read_bytes())
    content[: len(content) // 2] = b"x" * (len(content) // 2)  # what is not read cannot fail
    file.write_bytes(content)
    read = load_tails(tmp_path, RUN.id, [GLOSS], 0.1)
    assert list(read[GLOSS].items()) == tails(written, 0.1)[GLOSS]


def test_a_run_without_steps_has_no_end(tmp_path: Path) -> None:
    assert load_tails(tmp_path, RUN.id, [GLOSS], 0.1) == {}
    write(tmp_path, 1, 0)
    assert load_tails(tmp_path, RUN.id, [GLOSS], 0.1) == {}
