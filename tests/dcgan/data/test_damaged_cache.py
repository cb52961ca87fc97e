"""Decoded images that are no longer those of the files, or were damaged, are made again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.data.loading import load_images
from tests.support.image_folder import dataset, decoded, entries, save

pytestmark = pytest.mark.usefixtures("cache_folder")


def test_a_damaged_entry_is_built_again(faces: Path, cache_folder: Path):
    load_images(dataset(faces))
    (key,) = entries(cache_folder)
    with (cache_folder / "images" / key / "pixels.uint8").open("r+b") as pixels:
        pixels.truncate(1000)
    assert decoded(faces) == 12


def test_other_images_of_the_same_size_and_time_are_noticed(tmp_path: Path) -> None:
    """As tar, rsync and containers leave them, which set the time of modification."""
    (tmp_path / "bitmaps").mkdir()
    fingerprints = set()
    for seed in (0, 1):
        for number in range(3):
            save(tmp_path / "bitmaps" / f"{number}.bmp", 10 * seed + number)
            os.utime(tmp_path / "bitmaps" / f"{number}.bmp", (1e9, 1e9))
        fingerprints.add(load_images(dataset(tmp_path / "bitmaps")).card.fingerprint)
    assert len(fingerprints) == 2


@pytest.mark.parametrize(
    "damage", ["other pixels", "card of another kind", "card of other values", "other labels"]
)
def test_a_cache_that_was_damaged_is_built_again(
    tmp_path: Path, cache_folder: Path, damage: str
) -> None:
    folder = tmp_path / "classes"
    for number in range(12):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        save(folder / "ab"[number % 2] / f"{number}.png", number)
    first = load_images(dataset(folder))
    expected = first.pixels.clone()  # of a file that is about to change
    (entry,) = (cache_folder / "images" / name for name in entries(cache_folder))
    match damage:
        case "other pixels":
            pixels = bytearray((entry / "pixels.uint8").read_bytes())
            pixels[100] ^= 1
            (entry / "pixels.uint8").write_bytes(pixels)
        case "card of another kind":
            (entry / "card.json").write_text("[1]")
        case "card of other values":
            (entry / "card.json").write_text('{"size": null}')
        case "other labels":
            np.save(entry / "labels.npy", np.zeros(12, np.int64))
    again = load_images(dataset(folder))
    assert torch.equal(again.pixels, expected)
    assert again.card == first.card
    assert again.labels is not None
    assert first.labels is not None
    assert torch.equal(again.labels, first.labels)


def test_the_pixels_are_compared_with_their_fingerprint_once_a_day(
    faces: Path, cache_folder: Path
) -> None:
    load_images(dataset(faces))
    (entry,) = (cache_folder / "images" / name for name in entries(cache_folder))
    note = entry / "checked"
    opened = note.stat().st_mtime
    load_images(dataset(faces))
    assert note.stat().st_mtime == opened
    os.utime(note, (opened - 90_000, opened - 90_000))
    load_images(dataset(faces))
    assert note.stat().st_mtime > opened - 90_000
