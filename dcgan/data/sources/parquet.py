"""Images in parquet files, as Hugging Face's `datasets` writes them."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dcgan.data.encoded_images import EncodedImages
from dcgan.data.image_set import Collection, DataError
from dcgan.data.sources.image_folder import content_of_files

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_LABELS = ("label", "labels", "fine_label", "class")


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or all parquet files in a folder and its subfolders, in their order."""
    if path.is_dir():
        return sorted(path.rglob("*.parquet"))
    return [path] if path.suffix.lower() == ".parquet" else []


def collect_parquet(path: Path, split: str) -> Collection:
    """The images of parquet files, whose bytes are read when they are asked for.

    Args:
        path: A file, or a folder of files that are named after their splits, such as
            `train-00000-of-00002.parquet`.
        split: `train`, `test`, or `all`; matters only if files are named after splits.

    Raises:
        DataError: A file is damaged, there is no such split, or no column holds images.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    files = _of_split(path, parquet_files(path), split)
    try:
        opened = [ParquetFile(file) for file in files]
        column = _image_column(path, opened[0].schema_arrow)
        rows = _Rows(opened, column)
        label_column, classes = _label_column(opened[0].schema_arrow)
        labels = _labels(opened, label_column) if label_column else None
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if labels is not None and not classes:
        classes = tuple(map(str, range(int(labels.max()) + 1)))
    return Collection(
        path=str(path.resolve()),
        images=EncodedImages(rows.count, rows.read),
        names=[f"row {row} of {column}" for row in range(rows.count)],
        classes=classes if labels is not None else (),
        labels=labels,
        content=lambda: content_of_files(files, [file.name for file in files]),
    )


class _Rows:
    """The cells of a column of images; one group of rows is in memory at a time."""

    def __init__(self, files: Sequence[ParquetFile], column: str) -> None:
        self._groups = [
            (file, group) for file in files for group in range(file.metadata.num_row_groups)
        ]
        sizes = (file.metadata.row_group(group).num_rows for file, group in self._groups)
        self._ends = list(accumulate(sizes))
        self._column = column
        self._held: tuple[int, list[bytes]] = (-1, [])

    @property
    def count(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, row: int) -> bytes:
        number = bisect_right(self._ends, row)
        if self._held[0] != number:
            file, group = self._groups[number]
            values = file.read_row_group(group, columns=[self._column]).column(0).to_pylist()
            self._held = number, [_bytes_of(value) for value in values]
        first = self._ends[number - 1] if number else 0
        return self._held[1][row - first]


def _bytes_of(value: Any) -> bytes:
    """Of one cell; empty for one without an image, which decoding counts as unreadable."""
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) else b""


def _of_split(path: Path, files: Sequence[Path], split: str) -> list[Path]:
    """The files of one split; all of them if their names do not say which is which."""
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(file.stem.partition("-")[0], []).append(file)
    if split == "all" or not by_split.keys() & {"train", "test"}:
        return list(files)
    if split not in by_split:
        raise DataError(
            f"{path} has no split {split!r}. There are: {', '.join(sorted(by_split))}.\n"
            "Choose one with --set dataset.split=train, or =all for all of them."
        )
    return by_split[split]


def _image_column(path: Path, schema: Any) -> str:
    """The first column of bytes, or of structures with bytes."""
    from pyarrow import types

    for column in schema:
        is_struct = types.is_struct(column.type)
        kind = column.type.field("bytes").type if is_struct and _has_bytes(column) else column.type
        if types.is_binary(kind) or types.is_large_binary(kind):
            return str(column.name)
    raise DataError(
        f"{path} has no column of images, as `datasets` writes them: bytes, or bytes and path.\n"
        f"Its columns are: {', '.join(schema.names)}."
    )


def _has_bytes(column: Any) -> bool:
    return any(column.type.field(place).name == "bytes" for place in range(column.type.num_fields))


def _label_column(schema: Any) -> tuple[str | None, tuple[str, ...]]:
    """The column of labels, and the names of its classes where `datasets` has noted them."""
    from pyarrow import types

    metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    noted = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    for name in (*noted, *_LABELS):
        if name in schema.names and types.is_integer(schema.field(name).type):
            return name, tuple(features.get(name, {}).get("names", ()))
    return None, ()


def _labels(files: Sequence[ParquetFile], column: str) -> npt.NDArray[np.int64] | None:
    """None where some labels are missing or negative, as those of a test split often are."""
    parts = [file.read(columns=[column]).column(0) for file in files]
    if any(part.null_count for part in parts):
        return None
    labels = np.concatenate([part.to_numpy() for part in parts]).astype(np.int64)
    return labels if len(labels) and labels.min() >= 0 else None
