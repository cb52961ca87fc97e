"""Batches: the same images in the same order, whether at hand or gathered ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dcgan.data import batches
from dcgan.data.batches import DataWait, iterate_batches, to_device_if_it_fits

CPU = torch.device("cpu")


@pytest.mark.parametrize("limit", [0, 2**28])
def test_batches_come_whole_and_in_order(pixels: Tensor, monkeypatch, limit: int):
    monkeypatch.setattr(batches, "IN_MEMORY_BYTES", limit)
    placed = to_device_if_it_fits(pixels, CPU)
    assert (placed.data_ptr() == pixels.data_ptr()) == (limit == 0)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    wait = DataWait()
    found = list(iterate_batches(placed, order.split(16), CPU, wait))
    assert [len(images) for images in found] == [16, 16, 8]
    assert torch.equal(torch.cat(found), pixels[order])
    assert 0 < wait.percent() <= 100
    assert wait.seconds == 0


def test_one_batch_is_gathered_ahead_and_the_thread_ends_with_the_training(
    pixels: Tensor, monkeypatch
):
    monkeypatch.setattr(batches, "IN_MEMORY_BYTES", 0)
    asked: list[int] = []

    def indices() -> Iterator[Tensor]:
        for number in range(5):
            asked.append(number)
            yield torch.tensor([number])

    found = iterate_batches(pixels, indices(), CPU, DataWait())
    next(found)
    next(found)
    assert asked == [0, 1, 2]
    found.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("data")]
