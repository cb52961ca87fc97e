"""Whether the images themselves are at fault, by what a run records about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from diagnosis.evidence import Facts
from diagnosis.readings import Judgement, Reading, Undecided
from tracking.events import CONFIG, Value
from tracking.wording import plural

FLAT = 0.02
"""A standard deviation, of values from -1 to 1, below which images hardly vary."""

COPIES = 0.01
CLIPPED = 0.01
EXTREME = 0.5


def data_at_fault(facts: Facts) -> Reading:
    """The rule of the data: it holds from the start or never."""
    if facts.number("dataset/size") is None:
        return Undecided("nothing about its images was recorded")
    warnings = list(data_warnings(facts.fields))
    evidence = " ".join(warnings).removesuffix(".")
    return Judgement(bool(warnings), float(len(warnings)), evidence, since=0)


def data_warnings(fields: Mapping[str, Value]) -> Iterator[str]:
    """One sentence with numbers for each thing that may be wrong with the images of a run.

    fields: The dataset card, `config/dataset/...`; missing fields cause no warning.
    """

    def read(name: str) -> float:
        value = fields.get(f"{CONFIG}/dataset/{name}")
        numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return max(
            (float(each) for each in numbers if isinstance(each, int | float)), default=float("nan")
        )

    size, std = read("size"), read("std")
    if std < FLAT:
        yield (
            f"The images hardly vary: their values, from -1 to 1, have a mean of "
            f"{read('mean'):.4g} and a standard deviation of {std:.2g}."
        )
    if read("duplicates") > COPIES * size:
        yield (
            f"{plural(int(read('duplicates')), 'image')} of {size:,.0f} have the same pixels as an "
            "earlier one."
        )
    if read("clipped") > CLIPPED:
        yield (
            f"{read('clipped'):.0%} of the values of images with more than 8 bits lie outside "
            "dataset.value_range and were clipped."
        )
    if read("extreme") > EXTREME:
        yield (
            f"{read('extreme'):.0%} of the values of images with more than 8 bits became black or "
            "white: is dataset.value_range right?"
        )
