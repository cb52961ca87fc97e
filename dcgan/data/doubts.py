"""What is doubtful about a data set, said before time is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from dcgan.data.image_set import DatasetCard
from diagnosis.data_rule import doubts_about_fields
from tracking.events import CONFIG
from tracking.fields import flatten


def doubts_about(card: DatasetCard) -> Iterator[str]:
    """One sentence with numbers for each doubt about a set of images."""
    return doubts_about_fields(flatten({"dataset": asdict(card)}, CONFIG))
