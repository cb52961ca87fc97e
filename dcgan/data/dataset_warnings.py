"""Warnings about a data set, given before the training starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from dcgan.data.image_set import DatasetCard
from diagnosis.data_rule import data_warnings
from tracking.events import CONFIG
from tracking.fields import flatten
from tracking.wording import plural

_MAX_SHOWN = 3
_MAX_NAMED = 20
"""How many skipped files the card lists."""


def dataset_warnings(card: DatasetCard) -> Iterator[str]:
    """One sentence with numbers for each possible problem of a set of images."""
    if card.skipped:
        count = len(card.skipped)
        yield (
            f"{'At least ' if count >= _MAX_NAMED else ''}{plural(count, 'file')} could not be "
            f"read and {'is' if count == 1 else 'are'} left out: "
            f"{'; '.join(card.skipped[:_MAX_SHOWN])}{'; and others' * (count > _MAX_SHOWN)}."
        )
    yield from data_warnings(flatten({"dataset": asdict(card)}, CONFIG))
    for warning in card.warnings:
        yield f"{warning}."
