"""Which configuration keys are choices, for tables that have no room for all keys."""

from __future__ import annotations

from tracking.events import CONFIG
from tracking.fields import config_key

DESCRIPTIONS = ("name", "description", "source.")
"""The beginnings of keys that describe a recipe in words."""

MEASURED_OF_DATA = (
    "dataset.classes",
    "dataset.class_sizes",
    "dataset.clipped",
    "dataset.duplicates",
    "dataset.extreme",
    "dataset.fingerprint",
    "dataset.mean",
    "dataset.paged",
    "dataset.size",
    "dataset.skipped",
    "dataset.std",
    "dataset.transforms",
    "dataset.warnings",
)
"""Keys that are measured from the images rather than configured."""


def is_chosen(path: str) -> bool:
    """Whether a path is that of a configuration key that is a choice.

    Measured properties of the images and descriptions of the recipe are not.
    """
    if not path.startswith(f"{CONFIG}/"):
        return False
    key = config_key(path)
    return not key.startswith(DESCRIPTIONS) and key not in ("dataset.path", *MEASURED_OF_DATA)
