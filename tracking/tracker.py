"""The interface between a run and whatever writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from tracking.events import Event

Status: TypeAlias = Literal["running", "finished", "interrupted", "failed", "killed"]
"""`killed`: its process ended without a word."""


def as_status(value: object) -> Status:
    """The status that a field holds; `killed` where it is still `running` or unknown."""
    known: tuple[Status, ...] = ("finished", "interrupted", "failed")
    return next((status for status in known if status == value), "killed")


@dataclass(frozen=True)
class Run:
    """What identifies a run, the same in every store.

    id: unique, of letters, digits and hyphens; it never changes.
    name: what the user calls it.
    created: milliseconds since the Unix epoch.
    """

    id: str
    name: str
    created: int


@dataclass(frozen=True)
class Held:
    """What a store already has of a run, so that nothing is sent to it twice.

    last_step: for each metric's path the last step in the store. A store always
        holds a prefix of each series, because its writer stops at its first failure.
    images: (path, step) of each picture.
    files: the paths of texts and files.
    """

    last_step: Mapping[str, int] = field(default_factory=dict)
    images: frozenset[tuple[str, int]] = frozenset()
    files: frozenset[str] = frozenset()


NOTHING = Held()


class Tracker(Protocol):
    """Writes one run down.

    A backend's constructor opens the run, anew or again after an interruption.
    Every method may raise and may block: `tracking.fanout` isolates the training
    from both. Calls come from one thread.
    """

    def held(self) -> Held:
        """What the store had of this run when it was opened."""
        ...

    def write(self, event: Event) -> None:
        """Write one event. `Fields` may come again with the same or newer values."""
        ...

    def close(self, status: Status) -> None:
        """Set the run's last status and flush all that was written."""
        ...
