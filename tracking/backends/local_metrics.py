"""The `metrics.jsonl` of a journal: one line per step, as text, row by row, or as a table.

JSON has no NaN: non-finite values are the strings "NaN", "Infinity", "-Infinity". A line that is
not an object of numbers is damaged: it is skipped, counted and reported.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.errors import StoreError, leaving_out, warn
from tracking.metric_keys import metric_key, metric_path
from tracking.replay import Row
from tracking.run_files import check_no_link, is_behind_link
from tracking.wording import plural

if TYPE_CHECKING:
    import pandas as pd

TAIL_BYTES = 65_536
"""Bytes to read from the end of a file at least."""

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_READ: dict[Path, tuple[int, int, LastMetrics | None]] = {}
"""Per file that this process has read: its inode, the bytes read, and the last metrics in them."""

_STEP_LIMIT, _TIME_LIMIT = 2**63, 2**53
"""The ranges of a step table: 64-bit steps, and times that a float holds exactly."""


def metric_lines(
    steps: Sequence[int], times: Sequence[int], values: Mapping[str, Sequence[float]]
) -> bytes:
    """A block of metrics as lines; the arguments are the attributes of `tracking.events.Metrics`.

    Args:
        steps: Training steps.
        times: Milliseconds since the Unix epoch.
        values: The values by path, each sequence as long as `steps`.

    Raises:
        StoreError: A step is not a 64-bit integer.
    """
    if not all(isinstance(step, int) and abs(step) < _STEP_LIMIT for step in steps):
        raise StoreError(f"A journal takes no steps such as {max(steps, key=abs)}.")
    keys = ("step", "time", *map(metric_key, values))
    rows = [
        dict(zip(keys, row, strict=True))
        for row in zip(steps, times, *values.values(), strict=True)
    ]
    try:
        lines = [json.dumps(row, allow_nan=False) for row in rows]
    except ValueError:
        lines = [json.dumps({key: encode(value) for key, value in row.items()}) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode()


def encode(value: float) -> float | str:
    """A number as JSON holds it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def decode(value: object) -> float:
    """The inverse of `encode`; raises ValueError if it is not one."""
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def complete_lines(file: Path, start: int = 0) -> bytes:
    """The complete lines of a run's file from byte `start`; empty if there is no file.

    Raises OSError if the file cannot be read, and StoreError if it is a link.
    """
    check_no_link(file.parent, Path(file.name))
    try:
        with file.open("rb") as content:
            content.seek(start)
            data = content.read()
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _readable_lines(file: Path, start: int = 0) -> bytes:
    """What `complete_lines` returns; nothing, with a warning, if the file cannot be read."""
    with leaving_out(str(file)):
        return complete_lines(file, start)
    return b""


@dataclass(frozen=True)
class LastMetrics:
    """How the metrics of a journal end.

    Attributes:
        step: The last step of each metric's path.
        time: The latest time of each metric's path, in milliseconds since the Unix epoch.
        entries: The last value of each metric by `tracking.metric_keys.metric_key`, and the last
            `step` and `time`.
    """

    step: dict[str, int]
    time: dict[str, int]
    entries: dict[str, float]


def last_metrics(file: Path) -> LastMetrics:
    """How the metrics of a journal end.

    A metric's last value may lie anywhere in the file, so all lines are read; when a watched
    journal grows, only the new lines are.
    """
    try:
        identity, size = file.stat().st_ino, file.stat().st_size
    except OSError:
        identity, size = 0, 0
    known, end, last = _READ.get(file, (0, 0, None))
    if last is None or known != identity or end > size:
        end, last = 0, LastMetrics({}, {}, {})
    lines = _readable_lines(file, end)
    last = LastMetrics(dict(last.step), dict(last.time), dict(last.entries))
    for step, time, values in _rows(lines, file):
        for path in values:
            last.step[path] = step
            last.time[path] = max(time, last.time.get(path, time))
        last.entries.update(step=step, time=time)
        last.entries.update((metric_key(path), value) for path, value in values.items())
    _READ[file] = (identity, end + len(lines), last)
    return LastMetrics(dict(last.step), dict(last.time), dict(last.entries))


def steps_of_last(file: Path, keys: Iterable[str]) -> dict[str, int]:
    """The step of each key's last value. The file is searched from its end, which is fast."""
    lines = _readable_lines(file)
    steps = {}
    for key in keys:
        name, end = json.dumps(key).encode(), len(lines)
        while key not in steps and (position := lines.rfind(name, 0, end)) >= 0:
            end = lines.rfind(b"\n", 0, position) + 1
            entries = entries_of(lines[end : lines.find(b"\n", position)])
            if entries is not None and key in entries:
                steps[key] = int(entries["step"])
    return steps


def metric_rows(file: Path) -> Iterator[Row]:
    """Step, time and values of each line."""
    return _rows(_readable_lines(file), file)


def _rows(lines: bytes, file: Path) -> Iterator[Row]:
    for entries in _undamaged(lines, file):
        step, time = entries.pop("step"), entries.pop("time")
        yield step, time, {metric_path(key): decode(value) for key, value in entries.items()}


def lines_until(file: Path, step: int) -> bytes:
    """The lines up to `step`, and damaged ones, whose step is unknown."""
    lines = complete_lines(file).splitlines(keepends=True)
    entries = [entries_of(line) for line in lines]
    return b"".join(
        line
        for line, entry in zip(lines, entries, strict=True)
        if entry is None or entry["step"] <= step
    )


def step_table(run: str, file: Path) -> pd.DataFrame:
    """One row per step, as `tracking.tables.step_table` describes it."""
    import numpy as np
    import pandas as pd

    from tracking.tables import finish_step_table

    frame = _parse(_readable_lines(file), file)
    steps, row = np.unique(frame["step"].to_numpy(np.int64), return_inverse=True)
    times = np.zeros(len(steps), np.int64)
    np.maximum.at(times, row, frame["time"].to_numpy(np.int64))
    columns = {}
    for key in frame.columns.drop(["step", "time"]):
        # The means of an epoch are on their own line, at the step of its last batch. A value that
        # was not measured is missing; one that was measured as NaN is a text here.
        measured = frame[key].notna().to_numpy()
        values = frame[key].astype("float64").to_numpy()
        column = metric_key(metric_path(key))  # older journals have a plain `run` column
        columns[column] = np.full(len(steps), np.nan)
        columns[column][row[measured]] = values[measured]
    index = pd.Index(steps, name="step")
    return finish_step_table(run, pd.DataFrame(columns, index), pd.Series(times, index))


def read_tails(file: Path, paths: Sequence[str], fraction: float) -> dict[str, pd.Series]:
    """The last values of metrics by path, as `tracking.tables.tail_of` cuts them.

    Only the end of the file is read.

    Args:
        file: The `metrics.jsonl`, which need not exist.
        paths: The paths of the metrics; those without values are left out.
        fraction: The fraction of each metric's own steps, 0 to 1; at least one step.

    Returns:
        Each metric's values, float64, indexed by step.
    """
    from tracking.tables import tail_of

    keys = [metric_key(path) for path in paths]
    frame = _parse(_tail_lines(file, keys, fraction), file, keys).set_index("step")
    # A value that was not measured is missing; one that was measured as NaN is a text here.
    series = {
        path: frame[key].dropna().astype("float64")
        for path, key in zip(paths, keys, strict=True)
        if key in frame
    }
    return {path: tail_of(values, fraction) for path, values in series.items() if len(values)}


def _tail_lines(file: Path, keys: Sequence[str], fraction: float) -> bytes:
    """Complete lines from the end of a file, enough for that fraction of each metric's steps."""
    file_fraction = fraction + 0.02  # lines have about the same length
    while file_fraction < 1 and file.is_file() and not is_behind_link(file.parent, Path(file.name)):
        lines = _last_lines(file, file_fraction)
        if all(_reaches_back(lines, key, fraction) for key in keys):
            return lines
        file_fraction *= 2
    return _readable_lines(file)


def _last_lines(file: Path, file_fraction: float) -> bytes:
    """Complete lines from the end of a file: that fraction, 0 to 1, of its bytes."""
    size = file.stat().st_size
    with file.open("rb") as content:
        content.seek(max(0, size - max(TAIL_BYTES, int(file_fraction * size))))
        starts_within_a_line = content.tell() > 0
        data = content.read()
    return data[data.find(b"\n") + 1 if starts_within_a_line else 0 : data.rfind(b"\n") + 1]


def _reaches_back(lines: bytes, key: str, fraction: float) -> bool:
    """Whether lines begin before the last `fraction` of a metric's steps; False if in doubt."""
    from tracking.tables import tail_start

    place = lines.rfind(f"{json.dumps(key)}: ".encode())
    if place < 0:
        return False
    first = entries_of(lines[: lines.find(b"\n")])
    last = entries_of(lines[lines.rfind(b"\n", 0, place) + 1 : lines.find(b"\n", place)])
    return bool(first and last and first["step"] < tail_start(last["step"], fraction))


def entries_of(line: bytes) -> dict[str, Any] | None:
    """The keys of a line and their numbers or strings; None if the line is damaged."""
    if not line.startswith(b"{"):
        return None
    try:
        entries: dict[str, Any] = json.loads(line)
        for value in entries.values():
            decode(value)
    except (ValueError, OverflowError, RecursionError):
        return None
    step, time = entries.get("step"), entries.get("time")
    if not (isinstance(step, int) and isinstance(time, int)):
        return None
    return entries if abs(step) < _STEP_LIMIT and abs(time) < _TIME_LIMIT else None


def _undamaged(lines: bytes, file: Path) -> Iterator[dict[str, Any]]:
    damaged = 0
    for line in lines.splitlines():
        entries = entries_of(line)
        if entries is None:
            damaged += 1
        else:
            yield entries
    if damaged:
        warn(f"{file}: {plural(damaged, 'damaged line')} skipped.")


def _parse(lines: bytes, file: Path, keys: Sequence[str] | None = None) -> pd.DataFrame:
    """The lines as a frame: `step`, `time`, and a column for each key, or those of `keys`.

    A column holds numbers, missing where a line lacks the metric. If any value is not finite,
    the column holds numbers and strings, as JSON does.
    """
    import pandas as pd

    table = _parse_fast(lines, keys) if _is_flat(lines) else None
    if table is not None:
        return table
    empty = {"step": pd.Series(dtype="int64"), "time": pd.Series(dtype="int64")}
    entries = list(_undamaged(lines, file))
    return pd.DataFrame(entries) if entries else pd.DataFrame(empty)


def _is_flat(lines: bytes) -> bool:
    """Whether each line is one object without a null, and nothing is nested in it.

    PyArrow dies on a line such as `null`, and on a deeply nested one.
    """
    count = lines.count(b"\n")
    return (
        lines.startswith(b"{")
        and lines.endswith(b"}\n")
        and lines.count(b"{") == lines.count(b"}") == lines.count(b"}\n{") + 1 == count
        and b"[" not in lines
        and b"null" not in lines
    )


def _parse_fast(lines: bytes, keys: Sequence[str] | None) -> pd.DataFrame | None:
    """What `_parse` returns; None if the lines have anything but finite numbers."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.json

    options = None
    if keys is not None:
        numbers = {"step": pa.int64(), "time": pa.int64()} | dict.fromkeys(keys, pa.float64())
        options = pyarrow.json.ParseOptions(
            explicit_schema=pa.schema(numbers), unexpected_field_behavior="ignore"
        )
    try:
        table = pyarrow.json.read_json(io.BytesIO(lines), parse_options=options)
        columns = {name: table[name] for name in table.column_names}
        times = columns["time"].to_numpy()
        if any(columns[name].null_count for name in ("step", "time")):
            return None
    except (pa.ArrowInvalid, KeyError, UnicodeDecodeError):
        return None
    types = {name: column.type for name, column in columns.items()}
    if types["step"] != pa.int64() or types["time"] != pa.int64():
        return None
    if not set(types.values()) <= {pa.int64(), pa.float64()} or abs(times).max() >= _TIME_LIMIT:
        return None
    return pd.DataFrame({name: column.to_numpy() for name, column in columns.items()}, copy=False)
