"""Image grids of one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.plots.run import (
    grids_by_step,
    real_and_fake_grids,
)
from tests.support.drawn_run import (
    grey_grid,
)


def test_progression_shows_six_even_steps() -> None:
    images = {step: grey_grid(step // 10) for step in (*range(0, 2_000, 100), 1_950)}

    figure = grids_by_step(images)

    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in shown] == [
        "before training",
        "step 400",
        "step 800",
        "step 1,200",
        "step 1,600",
        "step 1,950",
    ]
    assert [int(np.asarray(axes.images[0].get_array()).max()) for axes in shown] == [
        0,
        40,
        80,
        120,
        160,
        195,
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("channels", [1, 3])
def test_progression_of_fewer_grids(count: int, channels: int, tmp_path: Path) -> None:
    figure = grids_by_step({step: grey_grid(9, channels) for step in range(count)})

    figure.savefig(tmp_path / "figure.png")
    assert sum(len(axes.images) for axes in figure.axes) == count


def test_progression_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no image"):
        grids_by_step({})


def test_grey_is_shown_on_the_full_scale() -> None:
    """A grid that is all one grey must not be stretched to black or white."""
    figure = real_and_fake_grids(grey_grid(100), grey_grid(120), fake_step=40)

    real, fake = figure.axes
    assert real.images[0].get_clim() == fake.images[0].get_clim() == (0, 255)
    assert real.get_title(loc="left") == "Real"
    assert fake.get_title(loc="left") == "Fake, step 40"
