"""Trackers of other packages, found by the entry point group `dcgan.trackers`.

Such a package may do anything. So its return values are checked, it gets copies of the events, and
whatever it raises becomes a StoreError that names the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.backends import BUILT_IN, Backend
from tracking.errors import StoreError
from tracking.events import Event, Fields, File, Image, Metrics, Text
from tracking.tracker import Held, Run, Status, Tracker

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import pandas as pd

GROUP = "dcgan.trackers"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # it becomes a part of a field's path
_FUNCTIONS = tuple(name for name in dir(Backend) if not name.startswith("_"))
_TRACKER_METHODS = ("held", "write", "close")


@dataclass(frozen=True)
class Plugin:
    """A tracker of another package.

    Attributes:
        name: What `--tracker` calls it.
        package: The package and its version, such as `dcgan-tracker-trackio 0.1.0`.
        entry_point: The entry point that names the module.
    """

    name: str
    package: str
    entry_point: EntryPoint


def installed_plugins() -> dict[str, Plugin]:
    """The trackers of other installed packages by name; none of them is imported.

    Names of our own backends, and names that cannot be typed, are left out. If several packages
    have the same name, the first on Python's path counts, as for modules.
    """
    from importlib.metadata import entry_points

    plugins: dict[str, Plugin] = {}
    for entry_point in entry_points(group=GROUP):
        name, package = entry_point.name, entry_point.dist
        if _NAME.fullmatch(name) and name not in BUILT_IN:
            title = f"{package.name} {package.version}" if package else "an unnamed package"
            plugins.setdefault(name, Plugin(name, title, entry_point))
    return plugins


def load_plugin(name: str) -> Backend:
    """Import the tracker of another package.

    Raises StoreError if no tracker has this name, if it cannot be imported, or if it lacks a
    function of `Backend`.
    """
    plugin = installed_plugins().get(name)
    if plugin is None:
        raise StoreError(f"There is no tracker {name!r} here: its package is not installed")
    backend = _call_plugin(plugin, "cannot be imported", plugin.entry_point.load)
    _require(plugin, backend, _FUNCTIONS)
    return _PluginBackend(plugin, backend)


class _PluginBackend:
    """A backend of another package, checked against the protocol."""

    def __init__(self, plugin: Plugin, backend: Backend) -> None:
        self._plugin = plugin
        self._backend = backend

    def open_tracker(self, run: Run, store: Path) -> Tracker:
        tracker: Tracker = self._call("open_tracker", object, run, store)
        _require(self._plugin, tracker, _TRACKER_METHODS)
        return _PluginTracker(self._plugin, tracker)

    def load_runs(self, store: Path | str) -> pd.DataFrame:
        import pandas as pd

        runs: pd.DataFrame = self._call("load_runs", pd.DataFrame, store)
        return runs

    def load_steps(self, store: Path | str, run: str) -> pd.DataFrame:
        import pandas as pd

        steps: pd.DataFrame = self._call("load_steps", pd.DataFrame, store, run)
        return steps

    def load_tails(
        self, store: Path | str, run: str, paths: Sequence[str], fraction: float
    ) -> Mapping[str, pd.Series]:
        tails: Mapping[str, pd.Series] = self._call(
            "load_tails", Mapping, store, run, paths, fraction
        )
        return tails

    def load_last_values(self, store: Path | str, run: str) -> Mapping[str, float]:
        values: Mapping[str, float] = self._call("load_last_values", Mapping, store, run)
        return values

    def load_events(self, store: Path | str, run: str) -> Iterator[Event]:
        events = iter(self._call("load_events", Iterable, store, run))
        while event := _call_plugin(
            self._plugin, "failed in load_events", partial(next, events, None)
        ):
            _check(self._plugin, "load_events", event, Event)
            yield event

    def _call(self, function: str, kind: type, *arguments: object) -> Any:
        ask = partial(getattr(self._backend, function), *arguments)
        result = _call_plugin(self._plugin, f"failed in {function}", ask)
        _check(self._plugin, function, result, kind)
        return result


class _PluginTracker:
    """A tracker of another package, checked against the protocol."""

    def __init__(self, plugin: Plugin, tracker: Tracker) -> None:
        self._plugin = plugin
        self._tracker = tracker

    def held(self) -> Held:
        held: Held = _call_plugin(self._plugin, "failed in held", self._tracker.held)
        _check(self._plugin, "held", held, Held)
        return held

    def write(self, event: Event) -> None:
        _call_plugin(self._plugin, "failed in write", partial(self._tracker.write, _copy(event)))

    def close(self, status: Status) -> None:
        _call_plugin(self._plugin, "failed in close", partial(self._tracker.close, status))


def _call_plugin(plugin: Plugin, failure: str, function: Callable[[], Any]) -> Any:
    """Call the plugin and return its answer; raises StoreError if the plugin raises anything."""
    try:
        return function()
    except KeyboardInterrupt:  # the user's, in a command that reads or sends runs
        raise
    except BaseException as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise StoreError(
            f"The tracker {plugin.name} of {plugin.package} {failure}: "
            f"{type(error).__name__}: {reason}"
        ) from error


def _require(plugin: Plugin, answer: object, functions: Sequence[str]) -> None:
    missing = [name for name in functions if not callable(getattr(answer, name, None))]
    if missing:
        raise StoreError(
            f"The tracker {plugin.name} of {plugin.package} breaks the protocol of "
            f"docs/backends.md: its {type(answer).__name__} has no {', '.join(missing)}"
        )


def _check(plugin: Plugin, function: str, answer: object, kind: Any) -> None:
    if not isinstance(answer, kind):
        expected = kind.__name__ if isinstance(kind, type) else "an event"
        raise StoreError(
            f"The tracker {plugin.name} of {plugin.package} breaks the protocol of "
            f"docs/backends.md: {function} returned {type(answer).__name__}, not {expected}"
        )


def _copy(event: Event) -> Event:
    """A copy that the plugin may change, since other trackers get the same event."""
    match event:
        case Fields(values):
            return Fields({k: list(v) if isinstance(v, list) else v for k, v in values.items()})
        case Metrics(steps, times, values):
            series = {path: list(numbers) for path, numbers in values.items()}
            return Metrics(list(steps), list(times), series)
        case Image(path, step, time, pixels):
            return Image(path, step, time, pixels.copy())
        case Text() | File():
            return event
