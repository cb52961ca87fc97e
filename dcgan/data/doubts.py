"""What is doubtful about a data set, said before time is spent on it."""

from __future__ import annotations

from collections.abc import Iterator

from dcgan.data.image_set import DatasetCard
from tracking.wording import plural

_FLAT = 0.02
"""A standard deviation, of values from -1 to 1, below which images hardly vary."""

_COPIES = 0.01
_CLIPPED = 0.01
_EXTREME = 0.5
_MOST_SHOWN = 3
_MOST_NAMED = 20
"""Of the files that were skipped, the card names so many."""


def doubts_about(card: DatasetCard) -> Iterator[str]:
    """One sentence with numbers for each doubt about a set of images."""
    if card.skipped:
        count = len(card.skipped)
        yield (
            f"{'At least ' if count >= _MOST_NAMED else ''}{plural(count, 'file')} could not be "
            f"read and {'is' if count == 1 else 'are'} left out: "
            f"{'; '.join(card.skipped[:_MOST_SHOWN])}{'; and others' * (count > _MOST_SHOWN)}."
        )
    if card.std and max(card.std) < _FLAT:
        mean, std = (max(values) for values in (card.mean, card.std))
        yield (
            f"The images hardly vary: their values, from -1 to 1, have a mean of {mean:.4g} and a "
            f"standard deviation of {std:.2g}."
        )
    if card.duplicates > _COPIES * card.size:
        yield (
            f"{plural(card.duplicates, 'image')} of {card.size:,} have the same pixels as an "
            "earlier one."
        )
    if card.clipped > _CLIPPED:
        yield (
            f"{card.clipped:.0%} of the values of images with more than 8 bits lie outside "
            "dataset.value_range and were clipped."
        )
    if card.extreme > _EXTREME:
        yield (
            f"{card.extreme:.0%} of the values of images with more than 8 bits became black or "
            "white: is dataset.value_range right?"
        )
    for warning in card.warnings:
        yield f"{warning}."
