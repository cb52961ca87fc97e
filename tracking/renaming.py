"""New names for the paths of an imported run, checked so that no path is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from tracking.errors import StoreError
from tracking.events import IMPORTED, SYS, TRACKERS, Event, Fields, File, Image, Metrics, Text

_SET_BY_THE_JOURNAL = (f"{SYS}/id", f"{SYS}/status", IMPORTED, TRACKERS)


def check_new_paths(events: Iterable[Event], new_paths: Mapping[str, str]) -> None:
    """Raise StoreError if new names merge two paths, or are paths that the journal sets itself.

    Args:
        events: All of the run.
        new_paths: New names for paths of the source, or for their beginnings.
    """
    for new in new_paths.values():
        if set(new.split("/")) & {"", ".", ".."}:
            raise StoreError(f"--rename to {new}: a path is names between slashes, such as a/b.")
        if any(new == path or new.startswith(f"{path}/") for path in _SET_BY_THE_JOURNAL):
            raise StoreError(f"--rename to {new}: the journal of a run sets that field itself.")
    rename = _renamer(new_paths)
    origins: dict[tuple[str, str], str] = {}
    for event in events:
        kind = "field" if isinstance(event, Fields) else type(event).__name__
        for old in _paths(event):
            new = rename(old)
            other = origins.setdefault((kind, new), old)
            if other != old:
                raise StoreError(
                    f"{other} and {old} would both become {new}, so one of them would be lost. "
                    "Give each its own name with --rename OLD=NEW."
                )


def renamed(events: Iterable[Event], new_paths: Mapping[str, str]) -> Iterator[Event]:
    """The events of a run by their new paths."""
    rename = _renamer(new_paths)
    for event in events:
        match event:
            case Fields(values):
                yield Fields({rename(path): value for path, value in values.items()})
            case Metrics(values=series):
                yield replace(
                    event, values={rename(path): values for path, values in series.items()}
                )
            case Image(path) | Text(path) | File(path):
                yield replace(event, path=rename(path))


def _renamer(new_paths: Mapping[str, str]) -> Callable[[str], str]:
    def rename(path: str) -> str:
        for old, new in new_paths.items():
            if path == old or path.startswith(f"{old}/"):
                return new + path.removeprefix(old)
        return path

    return rename


def _paths(event: Event) -> Iterable[str]:
    return event.values if isinstance(event, Fields | Metrics) else (event.path,)
