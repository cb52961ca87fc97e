"""Which keys of a configuration somebody chose, for tables that would drown in the others."""

from __future__ import annotations

from tracking.events import CONFIG

_NOT_CHOSEN = (
    "name",
    "description",
    "source/",
    "dataset/class",
    "dataset/clipped",
    "dataset/duplicates",
    "dataset/extreme",
    "dataset/fingerprint",
    "dataset/mean",
    "dataset/path",
    "dataset/size",
    "dataset/skipped",
    "dataset/std",
    "dataset/transforms",
)
"""The beginnings of paths below `config/`."""


def is_chosen(path: str) -> bool:
    """Whether a path is that of a key of the configuration that somebody chose.

    What a run found out about its images, and the words that describe its recipe, are not chosen.
    """
    key = path.removeprefix(f"{CONFIG}/")
    return key != path and not key.startswith(_NOT_CHOSEN)
