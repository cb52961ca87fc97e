"""Batches: the same images in the same order, whether at hand or gathered ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from dcgan.data import batches
from dcgan.data.batches import (
    DataWait,
    gpu_memory,
    iterate_batches,
    some_images,
    to_device_if_it_fits,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("limit", [0, 2**28])
def test_batches_come_whole_and_in_order(pixels: Tensor, monkeypatch, limit: int):
    monkeypatch.setattr(batches, "IN_MEMORY_BYTES", limit)
    moved = to_device_if_it_fits(pixels, CPU)
    assert (moved.data_ptr() == pixels.data_ptr()) == (limit == 0)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    wait = DataWait()
    images = list(iterate_batches(moved, order.split(16), CPU, wait))
    assert [len(batch) for batch in images] == [16, 16, 8]
    assert torch.equal(torch.cat(images), pixels[order])
    assert 0 < wait.percent() <= 100
    assert wait.seconds == 0


def test_a_clock_that_stands_still_ends_no_training(monkeypatch):
    monkeypatch.setattr(batches.time, "monotonic", lambda: 5.0)
    assert DataWait(since=5.0).percent() == 0


def test_one_batch_is_gathered_ahead_and_the_thread_ends_with_the_training(
    pixels: Tensor, monkeypatch
):
    monkeypatch.setattr(batches, "IN_MEMORY_BYTES", 0)
    requested: list[int] = []

    def indices() -> Iterator[Tensor]:
        for index in range(5):
            requested.append(index)
            yield torch.tensor([index])

    images = iterate_batches(pixels, indices(), CPU, DataWait())
    next(images)
    next(images)
    assert requested == [0, 1, 2]
    images.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("data")]


@pytest.mark.parametrize("free", [2 * 1024, 2 * 1024 - 1])
def test_a_gpu_takes_sets_of_up_to_half_its_free_memory(free: int, monkeypatch):
    moved = []
    pixels = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    card = SimpleNamespace(mem_get_info=lambda device: (free, 10**9))
    monkeypatch.setattr(torch, "get_device_module", lambda device: card)
    monkeypatch.setattr(Tensor, "to", lambda tensor, device: moved.append(device) or tensor)
    to_device_if_it_fits(pixels, torch.device("xpu"))
    assert moved == ([torch.device("xpu")] if free // 2 >= pixels.nbytes else [])


def test_a_gpu_that_cannot_say_what_is_free_has_what_was_not_taken(monkeypatch):
    def refuse(device: torch.device) -> tuple[int, int]:
        raise RuntimeError("doesn't support querying the available free memory")

    card = SimpleNamespace(
        mem_get_info=refuse,
        get_device_properties=lambda device: SimpleNamespace(total_memory=1000),
        memory_reserved=lambda device: 300,
    )
    monkeypatch.setattr(torch, "get_device_module", lambda device: card)
    assert gpu_memory(torch.device("xpu")) == (700, 1000)


@pytest.mark.parametrize(("kind", "waits"), [("mps", True), ("cpu", True), ("cuda", False)])
def test_only_from_pinned_memory_the_host_does_not_wait_for_a_copy(
    pixels: Tensor, monkeypatch, kind: str, waits: bool
):
    copies: list[bool] = []

    def to(images: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        copies.append(not non_blocking)
        return images

    monkeypatch.setattr(Tensor, "to", to)
    monkeypatch.setattr(Tensor, "pin_memory", lambda images: images)
    list(iterate_batches(pixels, [torch.arange(4)], torch.device(kind), DataWait()))
    assert copies == [waits]


def test_from_the_memory_of_the_device_images_are_gathered_there(pixels: Tensor, monkeypatch):
    monkeypatch.setattr(batches, "IN_MEMORY_BYTES", 0)
    ahead: list[str] = []

    def gather_ahead(pixels: Tensor, batches: Iterable[Tensor], *, pin: bool) -> Iterator[Tensor]:
        ahead.append(pixels.device.type)
        return (pixels[indices] for indices in batches)

    monkeypatch.setattr(batches, "_gather_ahead", gather_ahead)
    device = torch.device("meta")  # in place of a GPU
    order = torch.arange(4, device=device)
    (found,) = iterate_batches(pixels.to(device), [order], device, DataWait())
    assert (found.device, len(found), ahead) == (device, 4, [])
    list(iterate_batches(pixels, [torch.arange(4)], CPU, DataWait()))
    assert ahead == ["cpu"]


def test_a_device_that_shares_the_memory_takes_sets_of_a_fixed_size(monkeypatch):
    pixels = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    device = torch.device("meta")  # in place of mps, which is not here
    assert to_device_if_it_fits(pixels, device).device == device
    monkeypatch.setattr("dcgan.data.batches.IN_MEMORY_BYTES", pixels.nbytes - 1)
    assert to_device_if_it_fits(pixels, device) is pixels


def test_a_choice_of_images_has_all_classes_of_a_sorted_folder() -> None:
    by_class = torch.arange(10).repeat_interleave(64).to(torch.uint8).view(-1, 1, 1, 1)
    in_turn = torch.arange(640).remainder(10).to(torch.uint8).view(-1, 1, 1, 1)
    for pixels in (by_class, in_turn, in_turn[:631]):  # 63 gaps of 10 have one class
        chosen = some_images(pixels, 64)
        assert len(chosen.unique()) >= 9
        assert torch.equal(chosen, some_images(pixels, 64)), "always the same ones"
    in_order = some_images(by_class, 64).flatten()
    assert torch.equal(in_order, in_order.sort().values)
    assert torch.equal(some_images(by_class[:5], 64), by_class[:5])
