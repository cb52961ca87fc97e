"""Images in parquet files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from dcgan.data.image_set import Collection, DataError
from dcgan.data.progress import Progress, silent
from dcgan.data.sources.splits import choose_split
from dcgan.data.sources.tables import collect_table


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or all parquet files in a folder and its subfolders, in their order."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*.parquet") if file.is_file())
    return [path] if path.suffix.lower() == ".parquet" else []


def collect_parquet(path: Path, split: str, hashed: Progress = silent) -> Collection:
    """The images of parquet files, whose bytes are read on demand.

    Args:
        path: A file, or a folder of files that are named after their splits, such as
            `train-00000-of-00002.parquet`, or lie in folders that are, such as
            `train/0000.parquet`.
        split: The name of a split, or `all`; matters only if files are named after splits.
        hashed: Called while files are read to find out whether they are known.

    Raises:
        DataError: A file is damaged, there is no such split, or no column holds images.
    """
    import pyarrow

    try:
        table = _ParquetTable(_of_split(path, parquet_files(path), split))
        return collect_table(path, table, hashed)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


class _ParquetTable:
    """Parquet files as one table, with one row group in memory at a time."""

    def __init__(self, files: Sequence[Path]) -> None:
        from pyarrow.parquet import ParquetFile

        self.files = files
        self._opened = [ParquetFile(file) for file in files]
        self._groups = [
            (file, group) for file in self._opened for group in range(file.metadata.num_row_groups)
        ]
        sizes = (file.metadata.row_group(group).num_rows for file, group in self._groups)
        self._ends = list(accumulate(sizes))
        self._held: tuple[str, int, list[Any]] = ("", -1, [])
        self.schema = self._opened[0].schema_arrow
        for name in self.schema.names:
            if any(name not in file.schema_arrow.names for file in self._opened):
                self.schema = self.schema.remove(self.schema.get_field_index(name))
        self.count = self._ends[-1] if self._ends else 0

    def cell(self, column: str, row: int) -> Any:
        """The value in a row, as Python's."""
        number = bisect_right(self._ends, row)
        if self._held[:2] != (column, number):
            file, group = self._groups[number]
            values = file.read_row_group(group, columns=[column]).column(0).to_pylist()
            self._held = column, number, values
        first = self._ends[number - 1] if number else 0
        return self._held[2][row - first]

    def values(self, column: str) -> Any:
        """All values of a column, or of a part of it as `image.path`, as pyarrow's."""
        import pyarrow.compute

        name, *parts = column.split(".")
        columns = [file.read(columns=[column]).column(name) for file in self._opened]
        values = pyarrow.chunked_array([chunk for each in columns for chunk in each.chunks])
        for part in parts:
            values = pyarrow.compute.struct_field(values, part)
        return values


def _of_split(path: Path, files: Sequence[Path], split: str) -> list[Path]:
    """The files of one split; all files if they are not named after splits."""
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(_split_of(file), []).append(file)
    has_splits = split in by_split or {"train", "test"} & by_split.keys()
    if not has_splits and split in ("train", "all"):
        return list(files)
    return [file for each in choose_split(path, sorted(by_split), split) for file in by_split[each]]


def _split_of(file: Path) -> str:
    """The split that a file is named after, or its folder if the name is only a number."""
    name = file.stem.partition("-")[0]
    return file.parent.name if name.isdecimal() else name
