"""`metrics.jsonl` of a journal, read: line by line, as a table, or its end alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.replay import Row

if TYPE_CHECKING:
    import pandas as pd

TAIL_BYTES = 65_536
"""Of a file whose end is wanted at least so much is read."""


def complete_lines(path: Path) -> bytes:
    """The lines of a file but for a torn last one; none where there is no file."""
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
    """One row a step, as `tracking.tables.step_table` describes it."""
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
        # The means of an epoch stand on a line of their own, at the step of its last batch.
        measured = ~np.isnan(values)
        columns[path] = np.full(len(steps), np.nan)
        columns[path][row[measured]] = values[measured]
    index = pd.Index(steps, name="step")
    return finish_step_table(run, pd.DataFrame(columns, index), pd.Series(times, index))


def read_tails(file: Path, paths: Sequence[str], share: float) -> dict[str, pd.Series]:
    """The last values of metrics, as `tracking.tables.end_of` cuts them; only they are read."""
    from tracking.tables import tail_of

    frame = _parse(_end_lines(file, paths, share), paths)
    frame = frame.set_index("step")
    # What was not measured is missing; what was measured as NaN is still a text.
    series = {path: frame[path].dropna().astype("float64") for path in paths if path in frame}
    return {path: tail_of(values, share) for path, values in series.items() if len(values)}


def _end_lines(file: Path, paths: Sequence[str], share: float) -> bytes:
    """Whole lines from the end of a file, enough for the last share of each metric's steps."""
    part = share + 0.02  # lines are of about one length
    while part < 1 and file.exists():
        lines = _last_lines(file, part)
        if all(_reaches_back(lines, path, share) for path in paths):
            return lines
        part = 2 * part
    return complete_lines(file)


def _last_lines(file: Path, part: float) -> bytes:
    """Whole lines from the end of a file: `part`, 0 to 1, of its bytes."""
    size = file.stat().st_size
    with file.open("rb") as content:
        content.seek(max(0, size - max(TAIL_BYTES, int(part * size))))
        begins_within = content.tell() > 0
        data = content.read()
    return data[data.find(b"\n") + 1 if begins_within else 0 : data.rfind(b"\n") + 1]


def _reaches_back(lines: bytes, path: str, share: float) -> bool:
    """Whether lines begin before the last share of a metric's steps."""
    from tracking.tables import tail_start

    key = lines.rfind(f"{json.dumps(path)}: ".encode())
    if key < 0:
        return False
    begin = json.loads(lines[: lines.find(b"\n")])
    newest = json.loads(lines[lines.rfind(b"\n", 0, key) + 1 : lines.find(b"\n", key)])
    return bool(begin["step"] < tail_start(newest["step"], share))


def _parse(lines: bytes, paths: Sequence[str] | None = None) -> pd.DataFrame:
    """The lines as a frame: `step`, `time`, and a column for each metric, or those of `paths`.

    A column is of numbers, missing where a line lacks it; where one is not finite, of what
    JSON has: numbers and texts.
    """
    import pandas as pd

    if not lines:
        return pd.DataFrame({"step": pd.Series(dtype="int64"), "time": pd.Series(dtype="int64")})
    import pyarrow as pa
    import pyarrow.json

    chosen = None
    if paths is not None:
        numbers = {"step": pa.int64(), "time": pa.int64()} | dict.fromkeys(paths, pa.float64())
        chosen = pyarrow.json.ParseOptions(
            explicit_schema=pa.schema(numbers), unexpected_field_behavior="ignore"
        )
    try:
        table = pyarrow.json.read_json(io.BytesIO(lines), parse_options=chosen)
    except pa.ArrowInvalid:  # a column that mixes numbers and texts
        table = None
    if table is None or any(pa.types.is_string(field.type) for field in table.schema):
        return pd.DataFrame([json.loads(line) for line in lines.splitlines()])
    return pd.DataFrame({name: table[name].to_numpy() for name in table.column_names}, copy=False)
