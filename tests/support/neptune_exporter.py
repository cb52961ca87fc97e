"""Writes exports as Neptune's own exporter did: with its schema, folders and file names."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet

SCHEMA = pa.schema(
    {
        "project_id": pa.string(),
        "run_id": pa.string(),
        "attribute_path": pa.string(),
        "attribute_type": pa.string(),
        "step": pa.decimal128(18, 6),
        "timestamp": pa.timestamp("ms", tz="UTC"),
        "int_value": pa.int64(),
        "float_value": pa.float64(),
        "string_value": pa.string(),
        "bool_value": pa.bool_(),
        "datetime_value": pa.timestamp("ms", tz="UTC"),
        "string_set_value": pa.list_(pa.string()),
        "file_value": pa.struct({"path": pa.string()}),
        "histogram_value": pa.struct(
            {"type": pa.string(), "edges": pa.list_(pa.float64()), "values": pa.list_(pa.float64())}
        ),
    }
)

PROJECT = "ada/dcgan"
_FOLDER = "ada_dcgan_0a1b2c"  # the project's name, made safe, and a digest


def row(path: str, kind: str, value: object, step: float | None = None, time: int = 0) -> dict:
    """One row of an export.

    Args:
        path: The attribute's path.
        kind: The attribute's type, as the exporter names it.
        value: Its value.
        step: The step of a point of a series.
        time: The time of the point in milliseconds; none if 0.
    """
    column = {
        "float_series": "float_value",
        "string_series": "string_value",
        "histogram_series": "histogram_value",
        "file": "file_value",
        "file_series": "file_value",
        "file_set": "file_value",
    }.get(kind, f"{kind}_value")
    return {
        "attribute_path": path,
        "attribute_type": kind,
        "step": None if step is None else Decimal(step).quantize(Decimal("1.000000")),
        "timestamp": None if step is None or not time else moment(time),
        column: value,
    }


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def write_export(folder: Path, run: str, rows: list[dict[str, Any]], parts: int = 1) -> None:
    """Write the rows of a run to `data/<project>/<run>_part_<n>.parquet`.

    Args:
        folder: The export.
        run: Neptune's id of the run.
        rows: The rows, as `row` makes them.
        parts: Over how many files to spread them.
    """
    data = folder / "data" / _FOLDER
    data.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // parts)
    for part in range(parts):
        part_rows = [
            {**values, "project_id": PROJECT, "run_id": run}
            for values in rows[part * size : (part + 1) * size]
        ]
        table = pa.Table.from_pylist(part_rows, schema=SCHEMA)
        file = data / f"{run}_part_{part}.parquet"
        pyarrow.parquet.write_table(table, file, compression="snappy")


def save_file(folder: Path, run: str, path: str, content: bytes) -> dict[str, str]:
    """Save a file in an export, without an ending, and return the value for its row.

    Args:
        folder: The export.
        run: Neptune's id of the run.
        path: The attribute's path.
        content: The file's bytes.
    """
    file = folder / "files" / PROJECT / run / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return {"path": f"{PROJECT}/{run}/{path}"}


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def rows_of_offline_run(store: Path, folder: Path, run: str) -> Iterator[dict[str, Any]]:
    """The rows that the exporter would write had an offline run of ours been sent to the service.

    Args:
        store: The store that holds the offline run.
        folder: The export, which gets the run's files.
        run: Neptune's id of the run.
    """
    from neptune.internal import operation as operations

    from tracking.backends.neptune.offline_folders import read_operations

    fields: dict[str, dict[str, Any]] = {}
    for container in (store / "neptune" / "offline").glob("run__*"):
        for operation, _ in read_operations(container):
            path = "/".join(operation.path)
            match operation:
                case operations.AssignString(value=value):
                    fields[path] = row(path, "string", value)
                case operations.AssignBool(value=value):
                    fields[path] = row(path, "bool", value)
                case operations.AssignInt(value=value):
                    fields[path] = row(path, "int", value)
                case operations.AssignFloat(value=value):
                    fields[path] = row(path, "float", value)
                case operations.AddStrings(values=values):
                    fields[path] = row(path, "string_set", sorted(values))
                case operations.LogFloats(values=values):
                    for point in values:
                        time = round(point.ts * 1e3)
                        yield row(path, "float_series", point.value, point.step, time)
                case operations.LogStrings(values=values):
                    for point in values:
                        time = round(point.ts * 1e3)
                        yield row(path, "string_series", point.value, point.step, time)
                case operations.LogImages(values=values):
                    for point in values:
                        content = base64.b64decode(point.value.data)
                        name = f"{path}/{point.step:.0f}.png"
                        file_value = save_file(folder, run, name, content)
                        yield row(path, "file_series", file_value, point.step)
                case operations.UploadFile(file_path=file_path, tmp_file_name=name):
                    source = Path(file_path) if file_path else container / "upload_path" / name
                    file_value = save_file(folder, run, path, source.read_bytes())
                    fields[path] = row(path, "file", file_value)
    yield from fields.values()
