"""The metadata of runs: configuration, data sets, code, machines and packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.comparison.arms import as_texts, commits
from analysis.comparison.tables import Table
from analysis.report.content import Facts, Prose, Section
from tracking.events import CONFIG, SYS, Value
from tracking.fields import config_key, to_text
from tracking.wording import plural

MAX_VALUES = 8
"""Up to this many values of a field are listed; further ones are only counted."""

_CARD = {
    "name": "Name",
    "path": "Source",
    "split": "Split",
    "size": "Images",
    "classes": "Classes",
    "image_size": "Image size, pixels",
    "channels": "Channels",
    "transforms": "Transforms",
    "mean": "Mean per channel",
    "std": "Standard deviation per channel",
    "fingerprint": "Fingerprint",
}
_MACHINE = {
    "device": "Device",
    "hardware/cpu": "Processor",
    "hardware/cores": "Cores",
    "hardware/memory_gib": "Memory, GiB",
    "platform": "Platform",
    "python": "Python",
}


def configuration(table: pd.DataFrame, factors: Sequence[str]) -> Section:
    """The keys in which the runs differ, factors first, then the keys that are the same in all."""
    keys = {
        column: config_key(column) for column in table.columns if column.startswith(f"{CONFIG}/")
    }
    texts = {key: as_texts(table[column]) for column, key in keys.items()}
    varying = [key for key, values in texts.items() if values.nunique() > 1]
    order = [*(key for key in factors if key in varying)]
    order += [key for key in varying if key not in factors]
    constant = tuple((key, text.iloc[0]) for key, text in texts.items() if key not in varying)
    blocks: list[Table | Facts | Prose] = []
    if order:
        rows = tuple((key, _counted(texts[key].tolist())) for key in order)
        blocks.append(Table("Keys in which the runs differ", ("key", "values"), rows, texts=2))
    if constant and len(table) > 1:
        blocks.append(Prose("Keys with the same value in all runs:"))
    return Section("Configuration", (*blocks, Facts(constant)), folded=True)


def data_sets(table: pd.DataFrame) -> Section:
    """One table per data set, distinguished by fingerprint; synthetic data are marked."""
    column = f"{CONFIG}/dataset/fingerprint"
    names = table[column] if column in table else pd.Series("", table.index)
    blocks: list[Facts | Prose] = []
    for _, rows in table.groupby(as_texts(names), sort=False):
        if is_synthetic(rows):
            blocks.append(
                Prose(
                    "SYNTHETIC: these images were rendered by a program. Results need not carry "
                    "over to photographs.",
                    "warning",
                )
            )
        blocks.append(_named(rows, f"{CONFIG}/dataset", _CARD))
    return Section("Data set" if len(blocks) < 3 else "Data sets", tuple(blocks))


def is_synthetic(table: pd.DataFrame) -> bool:
    """Whether the images of any of the runs were rendered by a program."""
    return any("(synthetic)" in str(path) for path in distinct(table, f"{CONFIG}/dataset/path"))


def environment(table: pd.DataFrame) -> Section:
    """The versions of the code, the machines and the packages."""
    rows = [("Code", ", ".join(commits(table)) or "not recorded")]
    rows += _named(table, SYS, _MACHINE).rows
    packages = {
        str(column).removeprefix(f"{SYS}/"): str(column).rpartition("/")[2]
        for column in table.columns
        if str(column).startswith(f"{SYS}/packages/")
    }
    rows += _named(table, SYS, packages).rows
    return Section("Environment", (Facts(tuple(rows)),), folded=True)


def distinct(table: pd.DataFrame, path: str) -> list[Value]:
    """The distinct values of one field, in the order of the runs; missing ones are left out."""
    if path not in table:
        return []
    values = table[path][table[path].notna()]
    return list({to_text(value): value for value in values}.values())


def join_values(values: Sequence[Value]) -> str:
    """The values in one line; of many, the rest are only counted."""
    shown = [_in_words(value) for value in values[:MAX_VALUES]]
    more = len(values) - len(shown)
    return "; ".join(shown) + (f" and {more} more" if more else "")


def _named(table: pd.DataFrame, prefix: str, names: Mapping[str, str]) -> Facts:
    fields = ((name, distinct(table, f"{prefix}/{key}")) for key, name in names.items())
    return Facts(tuple((name, join_values(values)) for name, values in fields if values))


def _in_words(value: Value) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "none"
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_integer else str(value)


def _counted(texts: Sequence[str]) -> str:
    counts = pd.Series(texts, dtype=object).value_counts(sort=False)
    if len(counts) > MAX_VALUES:
        return f"{len(counts)} values, {', '.join(map(str, counts.index[:3]))}, ..."
    if counts.max() == 1:
        return ", ".join(map(str, counts.index))
    return ", ".join(f"{text} ({plural(count, 'run')})" for text, count in counts.items())
