"""An even choice of a run's image files."""

from __future__ import annotations

from analysis.image_files import evenly_spaced


def test_spread_keeps_both_ends() -> None:
    assert evenly_spaced([1, 2, 1_000], 6) == [1, 2, 1_000]
    assert evenly_spaced([0, 1, 2, 3, 4, 5, 6, 1_000], 6) == [0, 6, 1_000]
    assert evenly_spaced(list(range(0, 501)), 6) == [0, 100, 200, 300, 400, 500]
