"""Images in a folder that Hugging Face's `datasets` has saved: `save_to_disk`."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from dcgan.data.image_set import Collection, DataError
from dcgan.data.progress import Progress, silent
from dcgan.data.sources.splits import choose_split
from dcgan.data.sources.tables import collect_table

_SPLITS, _STATE = "dataset_dict.json", "state.json"


def is_saved_dataset(path: Path) -> bool:
    """Whether `datasets` has saved one or several splits in a folder."""
    return (path / _SPLITS).is_file() or (path / _STATE).is_file()


def collect_saved_dataset(path: Path, split: str, hashed: Progress = silent) -> Collection:
    """The images of the Arrow files of a saved dataset, which are mapped into memory.

    Args:
        path: The folder.
        split: The name of a split, or `all`; matters only if there are several.
        hashed: Called while files are read to find out whether they are known.

    Raises:
        DataError: A file is damaged, there is no such split, or no column holds images.
    """
    import pyarrow

    try:
        return collect_table(path, _MappedTable(_files(path, split)), hashed)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read as a folder of `datasets`: {error}.") from error


def _files(path: Path, split: str) -> list[Path]:
    folders = [path]
    if (path / _SPLITS).is_file():
        splits = json.loads((path / _SPLITS).read_text(encoding="utf-8"))["splits"]
        folders = [path / each for each in choose_split(path, splits, split)]
    files = []
    for folder in folders:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        files += [folder / each["filename"] for each in state["_data_files"]]
    for file in files:
        if not file.resolve().is_relative_to(path.resolve()):
            raise ValueError(f"{file} is outside of it")
    if not files:
        raise ValueError("it names no files")
    return files


class _MappedTable:
    """Arrow files as one table, mapped into memory."""

    def __init__(self, files: Sequence[Path]) -> None:
        import pyarrow

        self.files = files
        tables = [
            pyarrow.ipc.open_stream(pyarrow.memory_map(str(each))).read_all() for each in files
        ]
        self._table = pyarrow.concat_tables(tables)
        self.schema = self._table.schema
        self.count = self._table.num_rows
        self._chunks: dict[str, tuple[list[Any], list[int]]] = {}

    def cell(self, column: str, row: int) -> Any:
        """The value in a row, as Python's."""
        if column not in self._chunks:
            chunks = self._table.column(column).chunks
            self._chunks[column] = chunks, list(accumulate(map(len, chunks)))
        chunks, ends = self._chunks[column]
        number = bisect_right(ends, row)
        return chunks[number][row - (ends[number - 1] if number else 0)].as_py()

    def values(self, column: str) -> Any:
        """All values of a column, or of a part of it as `image.path`, as pyarrow's."""
        import pyarrow.compute

        name, *parts = column.split(".")
        values = self._table.column(name)
        for part in parts:
            values = pyarrow.compute.struct_field(values, part)
        return values
