"""The imitation of TF32 in benchmarks/imitated_tf32.py rounds operands, forward and backward."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

FILE = Path(__file__).parents[2] / "benchmarks" / "imitated_tf32.py"


@pytest.fixture(scope="module")
def imitation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("imitated_tf32", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tf32_has_eleven_significant_bits(imitation: ModuleType) -> None:
    half_a_unit = 2.0**-11
    values = torch.tensor(
        [1 + half_a_unit, 1 + half_a_unit / 2, -1 - half_a_unit, 0.0, 3 * 2.0**40]
    )
    expected = torch.tensor([1 + 2 * half_a_unit, 1, -1 - 2 * half_a_unit, 0, 3 * 2.0**40])
    assert torch.equal(imitation.to_tf32(values), expected)


@pytest.mark.parametrize(("convolve", "channels"), [(conv2d, (8, 3)), (conv_transpose2d, (3, 8))])
def test_operands_are_rounded_and_nothing_else(
    imitation: ModuleType, convolve: Any, channels: tuple[int, int]
) -> None:
    source = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 8, 8, generator=source, requires_grad=True)
    filters = torch.randn(*channels, 4, 4, generator=source, requires_grad=True)
    bias = torch.randn(8, generator=source)
    with imitation.ImitatedTF32():
        maps = convolve(images, filters, bias, (2, 2), (1, 1))
    rounded = [imitation.to_tf32(each).detach().requires_grad_() for each in (images, filters)]
    expected = convolve(*rounded, None, (2, 2), (1, 1)) + bias[:, None, None]
    torch.testing.assert_close(maps, expected)
    gradient = torch.randn(maps.shape, generator=source)
    found = torch.autograd.grad(maps, (images, filters), gradient)
    of_rounded = torch.autograd.grad(expected, rounded, imitation.to_tf32(gradient))
    torch.testing.assert_close(found, of_rounded)
