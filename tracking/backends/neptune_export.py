"""Exports that Neptune's exporter makes of its hosted service: Parquet and files, read only.

    data/<project>/<run>_part_<n>.parquet    one row per value
    files/...                                the files that rows name by relative paths

Runs of this program read back unchanged, those of others as `neptune.foreign` says.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tracking.backends.neptune import LONG_FIELDS, NON_FINITE, OWN_FIELDS, PROVENANCE
from tracking.backends.neptune.foreign import foreign_document, foreign_fields, foreign_images
from tracking.errors import StoreError, leaving_out, warn
from tracking.events import (
    SYS,
    Event,
    Fields,
    File,
    Text,
    Value,
)
from tracking.fields import from_text, to_iso8601
from tracking.png import read_image
from tracking.replay import gather
from tracking.tracker import Run, Tracker

if TYPE_CHECKING:
    import pandas as pd

    from tracking.tables import Point

_FIRST_PART = "_part_0.parquet"
_FIELD_TYPES = ("int", "float", "string", "bool", "datetime", "string_set")


def open_tracker(run: Run, store: Path) -> Tracker:
    """Raises StoreError: an export is read only."""
    _refuse(store, f"the run {run.id} cannot be written to it: an export is read only")


def load_runs(store: Path) -> pd.DataFrame:
    """One row per run, as `tracking.tables.run_table` describes it."""
    from tracking.tables import run_table

    runs = {}
    for run, export in _exports(store).items():
        with leaving_out(f"The run {run}"):
            runs[run] = _fields(export)
    return run_table(runs)


def load_steps(store: Path, run: str) -> pd.DataFrame:
    """One row per step of one run, as `tracking.tables.step_table` describes it."""
    from tracking.tables import step_table

    return step_table(run, _points_of(store, run))


def load_tails(
    store: Path, run: str, paths: Sequence[str], fraction: float
) -> dict[str, pd.Series]:
    """The last values of metrics by path; see `tracking.backends.Backend.load_tails`."""
    from tracking.tables import tails_of

    return tails_of(_points_of(store, run), paths, fraction)


def load_last_values(store: Path, run: str) -> dict[str, float]:
    """The last value of each metric by path."""
    from tracking.tables import last_values

    return last_values(_points_of(store, run))


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The complete run as events."""
    export = _exports(store)[run]
    fields = _fields(export)
    yield Fields(fields)
    yield from _documents(export)
    yield from gather(_points(export))
    yield from _images(export, fields)


@dataclass(frozen=True)
class _Export:
    """One exported run.

    Attributes:
        run: Our id of the run.
        made_here: Whether this program tracked the run.
        parts: Its Parquet files.
        files: The folder to which the rows' file names are relative.
    """

    run: str
    made_here: bool
    parts: list[Path]
    files: Path

    def of_type(self, *types: str) -> Iterator[dict[str, Any]]:
        """The rows of these types, read from the disk."""
        for part in self.parts:
            yield from _rows(part, "attribute_type", types)


def _exports(store: Path) -> dict[str, _Export]:
    """All runs of an export by our ids.

    Raises StoreError if the folder is not an export.
    """
    data = store / "data" if (store / "data").is_dir() else store
    files = store / "files" if data != store else store.parent / "files"
    exports: dict[str, _Export] = {}
    for first in sorted(data.rglob(f"*{_FIRST_PART}")):
        stem = first.name.removesuffix(_FIRST_PART)
        parts = sorted(first.parent.glob(f"{_glob(stem)}_part_*.parquet"), key=_number)
        with leaving_out(str(first)):
            ids = [
                row for part in parts for row in _rows(part, "attribute_path", [f"{PROVENANCE}/id"])
            ]
            run = str(from_text(ids[0]["string_value"])) if ids else _identifier(first)
            exports[run] = _Export(run, bool(ids), parts, files)
    if not exports:
        _refuse(
            store, f"it has no exported run, which is a file whose name ends with {_FIRST_PART}"
        )
    return exports


def _number(part: Path) -> tuple[int, str]:
    """What parts are sorted by: the tenth comes after the second."""
    number = part.stem.rpartition("_")[2]
    return (int(number) if number.isdecimal() else 0), part.name


def _rows(part: Path, column: str, values: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows whose column has one of these values."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        yield from pyarrow.parquet.read_table(part, filters=[(column, "in", values)]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        _refuse(part, f"it cannot be read: {str(error).partition(chr(10))[0]}")


def _glob(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _refuse(location: Path, reason: str) -> NoReturn:
    raise StoreError(
        f"{location} cannot be used as an export of Neptune: {reason}.\n"
        "Give the folder that holds the exporter's `data` and `files`."
    )


def _identifier(part: Path) -> str:
    """Neptune's id of a run, and a digest that distinguishes its project from others."""
    import pyarrow.parquet

    columns = pyarrow.parquet.read_table(part, columns=["project_id", "run_id"])
    row = columns.slice(0, 1).to_pylist()[0]
    digest = hashlib.sha256(f"{row['project_id']}/{row['run_id']}".encode()).hexdigest()[:6]
    slug = re.sub(r"[^a-z0-9]+", "-", row["run_id"].lower()).strip("-")[:29].strip("-")
    return f"{slug or 'run'}-{digest}"


def _fields(export: _Export) -> dict[str, Value]:
    raw = {row["attribute_path"]: _value(row) for row in export.of_type(*_FIELD_TYPES)}
    if export.made_here:
        return dict(_own_fields(raw, export))
    created = str(raw.get("sys/creation_time") or to_iso8601(0))
    return foreign_fields(raw, export.run, created)


def _own_fields(raw: Mapping[str, Value], export: _Export) -> Iterator[tuple[str, Value]]:
    """The fields of a run that this program tracked, in full where Neptune cut their text."""
    files = {row["attribute_path"]: row for row in export.of_type("file")}
    for path, value in raw.items():
        if not path.startswith(OWN_FIELDS):
            continue
        our_path = re.sub(f"^{PROVENANCE}/", f"{SYS}/", path)
        row = files.get(f"{LONG_FIELDS}/{our_path}")
        text = _file(export, row).read_bytes().decode() if row else value
        yield our_path, from_text(text) if isinstance(text, str) else text


def _value(row: Mapping[str, Any]) -> Value:
    value = row[f"{row['attribute_type']}_value"]
    if isinstance(value, datetime):
        return to_iso8601(_milliseconds(value))
    return sorted(value) if isinstance(value, list) else value


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _step(row: Mapping[str, Any]) -> int:
    step = row["step"]
    if step is None or step != int(step):
        _refuse(
            Path(row["run_id"]), f"{row['attribute_path']} has the step {step}, no whole number"
        )
    return int(step)


def _points_of(store: Path, run: str) -> list[Point]:
    export = _exports(store).get(run)
    return list(_points(export)) if export else []


def _points(export: _Export) -> Iterator[Point]:
    for row in export.of_type("float_series"):
        path, value = row["attribute_path"], row["float_value"]
        if value is None:
            warn(f"A value of {path} at step {row['step']} is left out: it is missing.")
        else:
            yield path, _step(row), _milliseconds(row["timestamp"]), value
    for row in export.of_type("string_series"):
        if _is_non_finite(row):
            path = row["attribute_path"].removeprefix(f"{NON_FINITE}/")
            yield path, _step(row), _milliseconds(row["timestamp"]), float(row["string_value"])


def _is_non_finite(row: Mapping[str, Any]) -> bool:
    return str(row["attribute_path"]).startswith(f"{NON_FINITE}/")


def _file(export: _Export, row: Mapping[str, Any]) -> Path:
    """The file that a row names. Raises StoreError if it is outside of the export."""
    file = Path(export.files / row["file_value"]["path"]).resolve()
    if not file.is_relative_to(export.files.resolve()):
        _refuse(export.files, f"{row['attribute_path']} names a file outside of it")
    return file


def _documents(export: _Export) -> Iterator[Event]:
    """Files and file sets, and series of texts and histograms as texts of one line per step."""
    for row in export.of_type("file", "file_set", "artifact"):
        path = row["attribute_path"]
        if path.startswith(f"{LONG_FIELDS}/"):
            continue
        target = _file(export, row)
        paths = sorted((target, *target.rglob("*")))
        files = [path for path in paths if path.is_file() and not path.is_symlink()]
        for file in files:
            relative = file.relative_to(target).with_suffix("").as_posix() if target != file else ""
            yield _document(f"{foreign_document(path)}/{relative}".rstrip("/."), file)
    lines: dict[str, list[str]] = {}
    for row in export.of_type("string_series", "histogram_series"):
        if not _is_non_finite(row):
            text = row["string_value"]
            text = json.dumps(row["histogram_value"]) if text is None else text
            lines.setdefault(row["attribute_path"], []).append(f"{row['step']:f}\t{text}\n")
    for path, series in lines.items():
        yield Text(foreign_document(path), "".join(series))


def _document(path: str, file: Path) -> Event:
    """A text or a file; as the exporter drops file extensions, valid UTF-8 counts as text."""
    if file.suffix in ("", ".txt"):
        try:
            return Text(path, file.read_bytes().decode())
        except UnicodeDecodeError:
            pass
    return File(path, file)


def _images(export: _Export, fields: Mapping[str, Value]) -> Iterator[Event]:
    """Series of files: pictures as images, others as files by step.

    Exports of Neptune 2 have no times for them; they get the time of the run's creation.
    """
    created = datetime.fromisoformat(str(fields["sys/created"]))
    for row in export.of_type("file_series"):
        file, path, step = _file(export, row), row["attribute_path"], _step(row)
        if not file.is_file():
            continue
        content = file.read_bytes()
        if _is_picture(content):
            time = _milliseconds(row["timestamp"] or created)
            yield from read_image(foreign_images(path), step, time, content)
        else:
            yield File(f"{foreign_document(path)}/{step:08d}", file)


def _is_picture(content: bytes) -> bool:
    """Whether a file begins as a picture does; it may still be damaged."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(content)):
            return True
    except PIL.UnidentifiedImageError:
        return False
