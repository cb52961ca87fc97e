"""Damage within files that have checksums or a schema: the container is whole, its content is not.

Flipped bits of such files are found by their checksums, so that readers never see the content.
"""

from __future__ import annotations

import contextlib
import io
import random
import sqlite3
import struct
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tests.support.mutations import ODD_TEXTS, mutated

_LOG_START, _LOG_BLOCK, _LOG_HEADER = 7, 32 * 1024, struct.Struct("<IHB")
_ODD_CELLS: tuple[object, ...] = (
    None, "", "x", "null", "[]", "{}", "\ud800".encode("utf-8", "surrogatepass"), b"\xff", 0, -1,
    2**63 - 1, -(2**63), 1.5, 1e308, float("inf"), float("nan"), "x" * 9_000, "../../x", "\x1b[31m",
)  # fmt: skip
_ODD_ROWS: dict[str, tuple[object, ...]] = {
    "step": (None, Decimal("1.5"), Decimal(-1), Decimal(10**11)),
    "timestamp": (None, datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)),
    "float_value": (None, float("nan"), float("inf")),
    "file_value": (None, {"path": None}, {"path": "../../../etc/passwd"}, {"path": ""}),
}


def mutated_event_file(content: bytes, rng: random.Random) -> bytes:
    """A file of TensorBoard's in which one record is damaged, and its checksum is right."""
    records = _event_records(content)
    _damage_one(records, rng)
    return event_file(records)


def without_fields(content: bytes) -> bytes:
    """A file of TensorBoard's as if another program had written it."""
    return event_file([record for record in _event_records(content) if b"sys/id" not in record])


def _event_records(content: bytes) -> list[bytes]:
    """The records, each of which lies between its length with a checksum and another checksum."""
    records = []
    while len(content) >= 16:
        (length,) = struct.unpack("<Q", content[:8])
        records.append(content[12 : 12 + length])
        content = content[16 + length :]
    return records


def event_file(records: list[bytes]) -> bytes:
    """A file of TensorBoard's with these records and their checksums."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = io.BytesIO()
    writer = RecordWriter(written)
    for record in records:
        writer.write(record)
    return written.getvalue()


def mutated_wandb_log(content: bytes, rng: random.Random) -> bytes:
    """A log of W&B's in which one record is damaged, and its checksums are right."""
    from tracking.backends.wandb.log_file import _read_contents

    with _as_file(content) as file:
        records = [record for record, _ in _read_contents(file, _LOG_START)]
    _damage_one(records, rng)
    written = bytearray(content[:_LOG_START])
    for record in records:
        left, is_first = record, True
        while left or is_first:
            room = _LOG_BLOCK - len(written) % _LOG_BLOCK
            if room < _LOG_HEADER.size:
                written += bytes(room)
                continue
            data, left = left[: room - _LOG_HEADER.size], left[room - _LOG_HEADER.size :]
            # The only frame of a record is 1; of several the first is 2 and the last one is 4.
            kind = (2 if left else 1) if is_first else (3 if left else 4)
            written += _LOG_HEADER.pack(zlib.crc32(bytes([kind]) + data), len(data), kind) + data
            is_first = False
    return bytes(written)


def mutated_parquet(content: bytes, rng: random.Random) -> bytes:
    """A Parquet file in which one cell is odd, or one row comes twice or not at all."""
    import pyarrow as pa
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    rows = table.to_pylist()
    row = rng.choice(rows)
    match rng.randrange(8):
        case 0:
            rows.remove(row)
        case 1:
            rows.append(row)
        case 2:
            table = table.drop_columns([rng.choice(table.column_names)])
            rows = table.to_pylist()
        case _:
            column = rng.choice(list(row))
            odd = _ODD_ROWS.get(column) or (None, *_texts())
            row[column] = rng.choice(odd)
    written = io.BytesIO()
    with contextlib.suppress(pa.ArrowException):  # the type of the column forbids the cell
        table = pa.Table.from_pylist(rows, schema=table.schema)
    pyarrow.parquet.write_table(table, written)
    return written.getvalue()


def mutated_database(content: bytes, rng: random.Random) -> bytes:
    """A sqlite file of MLflow's in which one cell is odd, or a row or a table is missing."""
    with _as_file(content) as file, contextlib.closing(sqlite3.connect(file)) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
        ]
        table = rng.choice(tables)
        rows = [row for (row,) in database.execute(f'SELECT rowid FROM "{table}"')]
        columns = [column[1] for column in database.execute(f'PRAGMA table_info("{table}")')]
        with contextlib.suppress(sqlite3.IntegrityError):
            match rng.randrange(10):
                case 0:
                    database.execute(f'DELETE FROM "{table}" WHERE rowid = ?', [rng.choice(rows)])
                case 1:
                    database.execute(f'DROP TABLE "{table}"')
                case _:
                    column, odd = rng.choice(columns), rng.choice(_ODD_CELLS)
                    database.execute(
                        f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?',
                        [odd, rng.choice(rows)],
                    )
        database.commit()
        return file.read_bytes()


def _damage_one(records: list[bytes], rng: random.Random) -> None:
    place = rng.randrange(len(records))
    match rng.randrange(6):
        case 0:
            del records[place]
        case 1:
            records.insert(place, rng.choice(records))
        case _:
            records[place] = mutated(records[place], rng)


def _texts() -> list[str]:
    return [text.decode(errors="replace") for text in ODD_TEXTS]


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "content")
        file.write_bytes(content)
        yield file
