"""Arguments of the Python API that need more than their type to be right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.backends import check_trackers
from tracking.errors import UserError


def dictionary(name: str, value: Any, example: str) -> Iterable[tuple[str, Any]]:
    """The items of an argument; raises UserError for what is neither a dictionary nor None.

    Args:
        name: Of the argument.
        value: Of the argument.
        example: A value that would be right.
    """
    if not isinstance(value, Mapping | None):
        raise UserError(f"{name}: it should be a dictionary, such as {example}, not {value!r}.")
    return (value or {}).items()


def as_toml(value: Any) -> Any:
    """A value of a type that TOML has: Python's numbers instead of NumPy's, strings instead of
    paths, and lists instead of tuples and arrays.
    """
    if hasattr(value, "tolist"):  # NumPy's, as those of np.arange and np.logspace
        value = value.tolist()
    if isinstance(value, tuple | list):
        return [as_toml(each) for each in value]
    if isinstance(value, Mapping):
        return {key: as_toml(each) for key, each in value.items()}
    return str(value) if isinstance(value, Path) else value


def data_path(data: str | Path | None) -> Path | None:
    """The argument `data`; raises UserError if it is empty, which Path takes for this folder."""
    if data == "":
        raise UserError('data: it is empty. Give a folder or a file of images, such as "photos".')
    return None if data is None else Path(data)


def words(name: str, value: Any, example: str) -> tuple[str, ...]:
    """An argument of one word or several; raises UserError for anything but strings.

    Args:
        name: Of the argument.
        value: Of the argument; None for no word.
        example: A word that would be right.
    """
    listed = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(listed, Iterable) or not all(isinstance(each, str) for each in listed):
        raise UserError(
            f'{name}: it should be a word or a list of words, such as ["{example}"], not {value!r}.'
        )
    return tuple(listed)


def chosen_trackers(trackers: str | Sequence[str] | None) -> list[str]:
    """The remote backends without repetition; raises UserError for one that does not exist."""
    return check_trackers(list(words("trackers", trackers, "mlflow")))
