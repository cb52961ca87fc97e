"""Image grids, against torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.utils import make_grid

from dcgan.sampling import image_grid
from tracking.events import GRID_PADDING


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_is_that_of_torchvision(count: int, channels: int):
    images = torch.randn(count, channels, 5, 6, generator=torch.Generator().manual_seed(0))
    grid = make_grid(
        images,
        nrow=round(count**0.5),
        padding=GRID_PADDING,
        normalize=True,
        value_range=(-1, 1),
    )
    expected = grid.mul(255).round().to(torch.uint8).permute(1, 2, 0)[:, :, :channels]
    np.testing.assert_array_equal(image_grid(images), expected)
