"""Reads the `metrics.jsonl` of a journal: line by line, as a table, or only its end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.replay import Row
from tracking.run_files import check_no_link

if TYPE_CHECKING:
    import pandas as pd

TAIL_BYTES = 65_536
"""The least number of bytes to read from the end of a file."""


def complete_lines(path: Path) -> bytes:
    """The lines of a run's file without a torn last one; empty if there is no file."""
    check_no_link(path.parent, Path(path.name))
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def metric_rows(lines: bytes) -> Iterator[Row]:
    """Step, time and values of each line."""
    for row in map(json.loads, lines.splitlines()):
        step, time = row.pop("step"), row.pop("time")
        yield step, time, {path: float(value) for path, value in row.items()}


def step_table(run: str, lines: bytes) -> pd.DataFrame:
    """One row per step, as `tracking.tables.step_table` describes it."""
    import numpy as np
    import pandas as pd

    from tracking.tables import finish_step_table

    frame = _parse(lines)
    steps, row = np.unique(frame["step"].to_numpy(np.int64), return_inverse=True)
    times = np.zeros(len(steps), np.int64)
    np.maximum.at(times, row, frame["time"].to_numpy(np.int64))
    columns = {}
    for path in frame.columns.drop(["step", "time"]):
        values = frame[path].astype("float64").to_numpy()
        # The means of an epoch are on their own line, at the step of its last batch.
        measured = ~np.isnan(values)
        columns[path] = np.full(len(steps), np.nan)
        columns[path][row[measured]] = values[measured]
    index = pd.Index(steps, name="step")
    return finish_step_table(run, pd.DataFrame(columns, index), pd.Series(times, index))


def read_tails(file: Path, paths: Sequence[str], fraction: float) -> dict[str, pd.Series]:
    """The last values of metrics by path, as `tracking.tables.tail_of` cuts them.

    Only the end of the file is read.

    Args:
        file: The `metrics.jsonl`, which need not exist.
        paths: The paths of the metrics; those without values are left out.
        fraction: Of each metric's own steps, 0 to 1; at least one step.

    Returns:
        Each metric's values, float64, indexed by step.
    """
    from tracking.tables import tail_of

    frame = _parse(_tail_lines(file, paths, fraction), paths)
    frame = frame.set_index("step")
    # A value that was not measured is missing; one that was measured as NaN is a text here.
    series = {path: frame[path].dropna().astype("float64") for path in paths if path in frame}
    return {path: tail_of(values, fraction) for path, values in series.items() if len(values)}


def _tail_lines(file: Path, paths: Sequence[str], fraction: float) -> bytes:
    """Complete lines from the end of a file, enough for that fraction of each metric's steps."""
    file_fraction = fraction + 0.02  # lines are of about the same length
    while file_fraction < 1 and file.exists():
        lines = _last_lines(file, file_fraction)
        if all(_reaches_back(lines, path, fraction) for path in paths):
            return lines
        file_fraction *= 2
    return complete_lines(file)


def _last_lines(file: Path, file_fraction: float) -> bytes:
    """Complete lines from the end of a file: that fraction, 0 to 1, of its bytes."""
    size = file.stat().st_size
    with file.open("rb") as content:
        content.seek(max(0, size - max(TAIL_BYTES, int(file_fraction * size))))
        starts_within_a_line = content.tell() > 0
        data = content.read()
    return data[data.find(b"\n") + 1 if starts_within_a_line else 0 : data.rfind(b"\n") + 1]


def _reaches_back(lines: bytes, path: str, fraction: float) -> bool:
    """Whether lines begin before the last `fraction` of a metric's steps."""
    from tracking.tables import tail_start

    key = lines.rfind(f"{json.dumps(path)}: ".encode())
    if key < 0:
        return False
    first = json.loads(lines[: lines.find(b"\n")])
    last = json.loads(lines[lines.rfind(b"\n", 0, key) + 1 : lines.find(b"\n", key)])
    return bool(first["step"] < tail_start(last["step"], fraction))


def _parse(lines: bytes, paths: Sequence[str] | None = None) -> pd.DataFrame:
    """The lines as a frame: `step`, `time`, and a column for each metric, or those of `paths`.

    A column holds numbers, missing where a line lacks the metric. If any value is not finite,
    the column holds numbers and texts, as JSON does.
    """
    import pandas as pd

    if not lines:
        return pd.DataFrame({"step": pd.Series(dtype="int64"), "time": pd.Series(dtype="int64")})
    import pyarrow as pa
    import pyarrow.json

    options = None
    if paths is not None:
        numbers = {"step": pa.int64(), "time": pa.int64()} | dict.fromkeys(paths, pa.float64())
        options = pyarrow.json.ParseOptions(
            explicit_schema=pa.schema(numbers), unexpected_field_behavior="ignore"
        )
    try:
        table = pyarrow.json.read_json(io.BytesIO(lines), parse_options=options)
    except pa.ArrowInvalid:  # a column that mixes numbers and texts
        table = None
    if table is None or any(pa.types.is_string(field.type) for field in table.schema):
        return pd.DataFrame([json.loads(line) for line in lines.splitlines()])
    return pd.DataFrame({name: table[name].to_numpy() for name in table.column_names}, copy=False)
