"""Writes an export as Neptune's own exporter did: its schema, its folders, its names of files."""

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
    """One row; `time` in milliseconds is left out where there is no step."""
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
    """`data/<project>/<run>_part_<n>.parquet` with the rows of a run."""
    data = folder / "data" / _FOLDER
    data.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // parts)
    for part in range(parts):
        filled = [
            {**each, "project_id": PROJECT, "run_id": run}
            for each in rows[part * size : (part + 1) * size]
        ]
        table = pa.Table.from_pylist(filled, schema=SCHEMA)
        file = data / f"{run}_part_{part}.parquet"
        pyarrow.parquet.write_table(table, file, compression="snappy")


def save_file(folder: Path, run: str, path: str, content: bytes) -> dict[str, str]:
    """What a row says of a file; it has the attribute's path and no ending of its own."""
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
    """What the exporter would have found, had an offline run of ours been sent to the service."""
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
                    for each in values:
                        yield row(path, "float_series", each.value, each.step, round(each.ts * 1e3))
                case operations.LogStrings(values=values):
                    for each in values:
                        time = round(each.ts * 1e3)
                        yield row(path, "string_series", each.value, each.step, time)
                case operations.LogImages(values=values):
                    for each in values:
                        content = base64.b64decode(each.value.data)
                        name = f"{path}/{each.step:.0f}.png"
                        value = save_file(folder, run, name, content)
                        yield row(path, "file_series", value, each.step)
                case operations.UploadFile(file_path=file_path, tmp_file_name=name):
                    kept = Path(file_path) if file_path else container / "upload_path" / name
                    value = save_file(folder, run, path, kept.read_bytes())
                    fields[path] = row(path, "file", value)
    yield from fields.values()
