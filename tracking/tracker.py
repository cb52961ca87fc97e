"""The interface between a run and the stores that it is written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from tracking.events import Event

Status: TypeAlias = Literal["running", "finished", "stopped", "interrupted", "failed", "killed"]
"""`stopped`: a rule of health ended it. `killed`: the process ended without closing the run."""


def as_status(value: object) -> Status:
    """The final status that a field holds; `killed` if it is still `running` or anything else."""
    closed: tuple[Status, ...] = ("finished", "stopped", "interrupted", "failed")
    return next((status for status in closed if status == value), "killed")


@dataclass(frozen=True)
class Run:
    """The identity of a run, the same in every store.

    Attributes:
        id: Unique, of letters, digits and hyphens; never changes.
        name: What the user calls it.
        created: Milliseconds since the Unix epoch.
    """

    id: str
    name: str
    created: int


@dataclass(frozen=True)
class Held:
    """What a store already holds of a run, so that nothing is sent to it twice.

    Attributes:
        last_step: The last step in the store for each metric's path. A store always holds a
            prefix of each series, because its writer stops at its first failure.
        last_time: For each metric's path, the latest time of its values, in milliseconds since
            the Unix epoch. A path may be missing: then later values at an earlier step are not
            sent.
        images: (path, step) of each picture.
        files: The paths of texts and files.
        digests: The SHA-256 of files by path, so that a file that has changed is sent again. A
            path may be missing: then its file counts as unchanged.
    """

    last_step: Mapping[str, int] = field(default_factory=dict)
    images: frozenset[tuple[str, int]] = frozenset()
    files: frozenset[str] = frozenset()
    last_time: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


NOTHING = Held()


class Tracker(Protocol):
    """Writes one run to a store.

    A backend's `open_tracker` opens a new run, or an existing one to continue it. Every method
    may raise and may block: `tracking.fanout` protects the training from both. All calls come
    from one thread.
    """

    def held(self) -> Held:
        """What the store held of this run when it was opened."""
        ...

    def write(self, event: Event) -> None:
        """Write one event. `Fields` may be repeated, with the same or newer values."""
        ...

    def close(self, status: Status) -> None:
        """Set the run's final status and flush everything that was written."""
        ...
