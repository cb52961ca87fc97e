"""A device without float64, such as MPS and some of Intel's GPUs, imitated on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor


class OnHost(Tensor):
    """A tensor that was copied from the device to the host, or computed from one."""


def refuse_float64_on_the_device(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Let `double` fail on tensors that `cpu` has not returned; the result takes the others."""
    converted: list[Tensor] = []
    double = Tensor.double

    def double_as_on_mps(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, OnHost):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        converted.append(tensor)
        return double(tensor.as_subclass(Tensor))

    def cpu(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        return tensor.as_subclass(OnHost)

    monkeypatch.setattr(Tensor, "cpu", cpu)
    monkeypatch.setattr(Tensor, "double", double_as_on_mps)
    return converted
