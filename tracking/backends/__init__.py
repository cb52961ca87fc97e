"""One module or package per store; only it imports the store's SDK, and only when used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast, get_args

from tracking.errors import UserError
from tracking.wording import install_extra

if TYPE_CHECKING:
    import pandas as pd

    from tracking.events import Event
    from tracking.tracker import Run, Tracker

Remote: TypeAlias = Literal["mlflow", "neptune", "tensorboard", "wandb"]
REMOTES: tuple[Remote, ...] = get_args(Remote)
"""Built-in backends that can track a run in addition to the local journal."""

BUILT_IN = ("local", *REMOTES, "neptune_export")
"""All built-in backends; `tracking.plugins` finds those of other packages."""

_EXTRAS = ("wandb",)
"""Backends whose client is installed by an extra of the same name."""


class Reader(Protocol):
    """A module that reads complete runs, such as those in `foreign`.

    A store is a folder; MLflow's runs can also be read from an address, a string.
    """

    def load_runs(self, store: Path | str) -> pd.DataFrame:
        """One row per run, as `tracking.tables.run_table` describes it."""
        ...

    def load_events(self, store: Path | str, run: str) -> Iterator[Event]:
        """The complete run as events, from which it can be written to another store.

        First `Fields`, then texts and files, then metrics in the order of their steps, then
        images. Nothing if the store lacks the run. The source of a `File` exists until the
        next event is requested.
        """
        ...


class Backend(Reader, Protocol):
    """A backend's module: it reads and writes runs."""

    def open_tracker(self, run: Run, store: Path) -> Tracker:
        """Open a run for writing: a new one, or an existing one to continue it."""
        ...

    def load_steps(self, store: Path | str, run: str) -> pd.DataFrame:
        """One row per step of one run, as `tracking.tables.step_table` describes it."""
        ...

    def load_tails(
        self, store: Path | str, run: str, paths: Sequence[str], fraction: float
    ) -> Mapping[str, pd.Series]:
        """The last values of metrics by path.

        Args:
            store: The store, or an address of MLflow.
            run: The run's id.
            paths: The paths of the metrics; those that the run lacks are left out.
            fraction: The fraction of each metric's own steps, 0 to 1; at least one step.

        Returns:
            Each metric's values, float64, indexed by step in ascending order. A step at which
            the metric was not measured is absent; unlike in the table of all steps, NaN means
            that NaN was measured.
        """
        ...

    def load_last_values(self, store: Path | str, run: str) -> Mapping[str, float]:
        """The last value of each metric by path; NaN and infinities are values."""
        ...


def load_backend(name: str) -> Backend:
    """Import a backend: one of `BUILT_IN`, or that of another package.

    Raises StoreError if no backend has this name, or if a package's backend cannot be imported.
    """
    if name in BUILT_IN:
        from tracking.guarded_reading import GuardedBackend

        backend = cast(Backend, importlib.import_module(f"tracking.backends.{name}"))
        return backend if name == "local" else GuardedBackend(name, backend)
    from tracking.plugins import load_plugin

    return load_plugin(name)


def load_reader(name: str) -> Reader:
    """Import a backend, or a reader of other programs' runs, such as `foreign.mlflow`."""
    if name.startswith("foreign."):
        from tracking.guarded_reading import GuardedReader

        module = importlib.import_module(f"tracking.backends.{name}")
        return GuardedReader(name, cast(Reader, module))
    return load_backend(name)


def tracker_names() -> tuple[str, ...]:
    """What `--tracker` accepts besides `local`: `REMOTES`, and what other packages offer."""
    from tracking.plugins import installed_plugins

    return (*REMOTES, *installed_plugins())


def check_tracker(name: str) -> str:
    """A remote tracker's name, unchanged; raises UserError if it is unknown or lacks its client.

    Whether a package's backend can be imported shows only when it is used.
    """
    if name not in (names := tracker_names()):
        raise UserError(f"There is no tracker {name!r}. Choose from: {', '.join(names)}.")
    check_client(name)
    return name


def check_trackers(names: list[str] | None) -> list[str]:
    """The remote trackers among `names`, without repetition; `local` is always on."""
    return [check_tracker(name) for name in dict.fromkeys(names or ()) if name != "local"]


def check_client(name: str) -> None:
    """Raise UserError if a built-in backend needs a client that is not installed."""
    if name in _EXTRAS and find_spec(name) is None:
        raise UserError(
            f"The client of {name} is not installed. Install it with: {install_extra(name)}"
        )
