"""One file a store: the only place that imports that store's SDK, and only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast, get_args

if TYPE_CHECKING:
    import pandas as pd

    from tracking.events import Event
    from tracking.tracker import Run, Tracker

Remote: TypeAlias = Literal["mlflow", "neptune", "tensorboard"]
REMOTES: tuple[Remote, ...] = get_args(Remote)
"""The backends that a run can be tracked to beside the local journal."""


class Backend(Protocol):
    """What the module of each backend offers.

    A store is a folder; MLflow's runs are also read from an address, a string.
    """

    def open_tracker(self, run: Run, store: Path) -> Tracker:
        """Open a run for writing: a new one, or the same again after an interruption."""
        ...

    def load_runs(self, store: Path | str) -> pd.DataFrame:
        """One row a run, as `tracking.tables.run_table` describes it."""
        ...

    def load_steps(self, store: Path | str, run: str) -> pd.DataFrame:
        """One row a step of one run, as `tracking.tables.step_table` describes it."""
        ...

    def load_tails(
        self, store: Path | str, run: str, paths: Sequence[str], share: float
    ) -> Mapping[str, pd.Series]:
        """The last values of metrics by path, each a series by step, in its order.

        share: of each metric's own steps, 0 to 1; one step at least. Unlike a table of all
        steps it tells what was measured as NaN from what was not measured, which it leaves
        out; a path that the run lacks is left out as well.
        """
        ...

    def load_last_values(self, store: Path | str, run: str) -> Mapping[str, float]:
        """The newest value of each metric by path; NaN and infinities are values."""
        ...

    def load_events(self, store: Path | str, run: str) -> Iterator[Event]:
        """The whole run as events, in the form in which it was written: what replay moves.

        First `Fields`, then texts and files, then metrics in the order of their steps, then
        images. Nothing where the store lacks the run. The source of a `File` is there until
        the next event is asked for.
        """
        ...


def load_backend(name: str) -> Backend:
    """Import a backend: `local`, or one of `REMOTES`."""
    return cast(Backend, importlib.import_module(f"tracking.backends.{name}"))
