"""Images in the rows of tables, as Hugging Face's `datasets` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dcgan.data.encoded_images import EncodedImages
from dcgan.data.image_set import Collection, DataError
from dcgan.data.progress import Progress
from dcgan.data.sources.image_folder import collect_files, content_of_files

_LABELS = ("label", "labels", "fine_label", "class")
_MAX_UNNAMED_CLASSES = 1_000
"""Numbers from here on are taken for something else than classes, unless there are more images."""


class Table(Protocol):
    """A table in one or several files.

    Attributes:
        files: The files, in order.
        schema: A pyarrow schema: the columns and their metadata.
        count: Number of rows.
    """

    files: Sequence[Path]
    schema: Any
    count: int

    def cell(self, column: str, row: int) -> Any:
        """The value in a row, as Python's."""

    def values(self, column: str) -> Any:
        """All values of a column, or of a part of it as `image.path`, as pyarrow's."""


def collect_table(path: Path, table: Table, hashed: Progress) -> Collection:
    """The images in a table, read on demand, or the files that it names.

    Args:
        path: The path that the user gave, for messages.
        table: The table.
        hashed: Called while files are read to find out whether they are known.

    Raises:
        DataError: No column holds images, or a row names a file outside the table's folder.
    """
    column = _image_column(path, table.schema)
    labels, classes = _labels(table)
    first = table.cell(column, 0) if table.count else None
    if isinstance(first, dict) and first.get("bytes") is None and first.get("path"):
        folder, names = table.files[0].parent, table.values(f"{column}.path").to_pylist()
        _check_names(path, names)
        of_files = None if labels is None else labels.tolist()
        return collect_files(folder, names, classes, of_files, hashed=hashed)
    return Collection(
        path=str(path.resolve()),
        images=EncodedImages(table.count, lambda row: _bytes_of(table.cell(column, row))),
        names=[f"row {row} of {column}" for row in range(table.count)],
        classes=classes,
        labels=labels,
        content=lambda: content_of_files(table.files, [file.name for file in table.files], hashed),
    )


def _bytes_of(value: Any) -> bytes:
    """The bytes of one cell; empty without an image, which decoding counts as unreadable."""
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) else b""


def _check_names(path: Path, names: Sequence[str | None]) -> None:
    for row, name in enumerate(names):
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DataError(
                f"{path}: row {row} names the file {name!r}, which is not below the table's "
                "folder.\nLet `datasets` write the images themselves, or move them there."
            )


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
    return any(column.type.field(index).name == "bytes" for index in range(column.type.num_fields))


def _labels(table: Table) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...]]:
    """Labels and the names of their classes; none if some are missing or negative.

    Those of a test split often are. Numbers are the names if there are none, or too few.
    """
    column, classes = _label_column(table.schema)
    values = table.values(column) if column else None
    if values is None or values.null_count or not len(values):
        return None, ()
    labels = np.asarray(values.to_numpy()).astype(np.int64)
    largest = int(labels.max())
    if largest < len(classes) and labels.min() >= 0:
        return labels, classes
    if labels.min() < 0 or largest >= max(len(labels), _MAX_UNNAMED_CLASSES):
        return None, ()
    return labels, tuple(map(str, range(largest + 1)))


def _label_column(schema: Any) -> tuple[str | None, tuple[str, ...]]:
    """The column of labels, and the names of its classes where `datasets` has noted them."""
    from pyarrow import types

    metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    class_labels = {
        name: tuple(feature.get("names") or ())
        for name, feature in features.items()
        # Older versions write the feature of a list of values as a list.
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }
    for name in (*class_labels, *_LABELS):
        if name in schema.names and types.is_integer(schema.field(name).type):
            return name, class_labels.get(name, ())
    return None, ()
