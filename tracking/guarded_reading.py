"""Turns whatever libraries raise while they read a store into a one-sentence StoreError.

A store can be damaged in any way, and a server can disappear between two answers. Only the journal
is read without this guard, because its own reader skips damaged parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.errors import StoreError, UserError

if TYPE_CHECKING:
    import pandas as pd

    from tracking.backends import Backend, Reader
    from tracking.events import Event
    from tracking.tracker import Run, Tracker

_REASON_LENGTH = 300


class GuardedReader:
    """Reads complete runs; raises StoreError where the reader that it guards raises anything."""

    def __init__(self, name: str, reader: Reader) -> None:
        self._name = name.removeprefix("foreign.")
        self._reader = reader

    def load_runs(self, store: Path | str) -> pd.DataFrame:
        """One row per run."""
        with self._refusing("the runs", store):
            return self._reader.load_runs(store)

    def load_events(self, store: Path | str, run: str) -> Iterator[Event]:
        """The complete run as events."""
        with self._refusing(f"the run {run}", store):
            yield from self._reader.load_events(store, run)

    @contextmanager
    def _refusing(self, part: str, store: Path | str) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # some SDKs call sys.exit
            reason = " ".join(str(error).split())[:_REASON_LENGTH] or type(error).__name__
            raise StoreError(
                f"{self._name} cannot read {part} in {store}: {reason}\n"
                "The store is damaged, or its server has failed."
            ) from error


class GuardedBackend(GuardedReader):
    """The same for a backend; its tracker is guarded by `tracking.fanout`."""

    def __init__(self, name: str, backend: Backend) -> None:
        super().__init__(name, backend)
        self._backend = backend

    def open_tracker(self, run: Run, store: Path) -> Tracker:
        """Open a run for writing."""
        return self._backend.open_tracker(run, store)

    def load_steps(self, store: Path | str, run: str) -> pd.DataFrame:
        """One row per step of one run."""
        with self._refusing(f"the run {run}", store):
            return self._backend.load_steps(store, run)

    def load_tails(
        self, store: Path | str, run: str, paths: Sequence[str], fraction: float
    ) -> Mapping[str, pd.Series]:
        """The last values of metrics by path, as `Backend.load_tails` describes it.

        Args:
            store: The store, or an address of MLflow.
            run: The run's id.
            paths: The paths of the metrics.
            fraction: The fraction of each metric's own steps, 0 to 1.
        """
        with self._refusing(f"the run {run}", store):
            return self._backend.load_tails(store, run, paths, fraction)

    def load_last_values(self, store: Path | str, run: str) -> Mapping[str, float]:
        """The last value of each metric by path."""
        with self._refusing(f"the run {run}", store):
            return self._backend.load_last_values(store, run)
