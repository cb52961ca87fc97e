"""The numbers of tables."""

from __future__ import annotations

import math

import pytest

from analysis.comparison.tables import align_decimals


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((1.1, 0.9989, 1.0019), ["1.100", "0.999", "1.002"]),
        ((1.09123, 0.00123), ["1.0912", "0.0012"]),
        ((12.0, 1.234e-6, -0.5), ["12.0000", "1.2e\N{MINUS SIGN}06", "\N{MINUS SIGN}0.5000"]),
        ((1000.0, 998.0), ["1,000", "998"]),
        ((12345.678, 11.5), ["12,346", "12"]),
        ((math.nan, 0.25, math.inf), ["\N{EN DASH}", "0.2500", "\N{EN DASH}"]),
        ((0.0, -1e-17), ["0", "0"]),
        ((), []),
    ],
)
def test_numbers_below_each_other_have_the_same_decimals(
    values: tuple[float, ...], texts: list[str]
) -> None:
    assert align_decimals(values) == texts
