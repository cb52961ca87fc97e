"""Latents of seeds, of files and between seeds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dcgan.config.schema import Network
from dcgan.samples import latents
from dcgan.samples.latents import Latents, LatentsError
from dcgan.sampling import BATCH, draw_latents


def network(size: int = 7, law: str = "normal") -> Network:
    return Network.model_validate({"latent_size": size, "latent_law": law})


def all_of(chosen: Latents) -> Tensor:
    batches = list(chosen.batches())
    assert all(len(batch) == BATCH for batch in batches)
    return torch.cat(batches)[: chosen.count].flatten(1)


@pytest.mark.parametrize("law", ["normal", "uniform"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_an_image_of_a_seed_is_the_same_among_any_number(law: str, size: int) -> None:
    chosen = network(size, law)
    many = all_of(latents.of_seed(chosen, 3, 3 * BATCH + 5))
    for count in (1, 5, BATCH, BATCH + 1):
        assert torch.equal(all_of(latents.of_seed(chosen, 3, count)), many[:count])
    assert torch.equal(latents.first_of_seed(chosen, 3).flatten(), many[0])
    # What earlier versions drew, for the counts at which PyTorch draws the same numbers.
    at_once = draw_latents(BATCH, chosen, torch.Generator().manual_seed(3))
    assert torch.equal(at_once.flatten(1), many[:BATCH])


def test_each_seed_has_an_image_that_is_named_after_it() -> None:
    seeds = [5, *range(100, 100 + BATCH)]
    chosen = latents.of_seeds(network(), seeds)
    drawn = all_of(chosen)
    assert len(drawn) == len(seeds)
    assert torch.equal(drawn[0], latents.first_of_seed(network(), 5).flatten())
    assert torch.equal(drawn[-1], latents.first_of_seed(network(), seeds[-1]).flatten())
    assert [chosen.name(0), chosen.name(1)] == ["seed-005", "seed-100"]


@pytest.mark.parametrize("shape", [(70, 7), (70, 7, 1, 1)])
def test_latents_of_a_file_are_taken_in_order(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    np.save(tmp_path / "z.npy", array)
    expected = torch.from_numpy(array.reshape(70, 7)).float()
    assert torch.equal(all_of(latents.of_file(network(), tmp_path / "z.npy")), expected)
    assert torch.equal(all_of(latents.of_file(network(), tmp_path / "z.npy", 3)), expected[:3])


@pytest.mark.parametrize(
    ("array", "count", "said"),
    [
        (np.zeros((3, 8)), None, r"float64 \(3, 8\).*\(N, 7\)"),
        (np.zeros((3, 7), int), None, "int64"),
        (np.zeros((0, 7)), None, r"\(0, 7\)"),
        (
            np.array([{}]),
            None,
            "cannot be read: Array can.t be memory-mapped: Python objects in dtype.\n",
        ),
        (np.zeros((3, 7)), 4, "3 latents, fewer than -n 4"),
        (np.full((3, 7), np.nan), None, "not finite"),
    ],
)
def test_other_files_are_refused(
    array: np.ndarray, count: int | None, said: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "z.npy", array)
    with pytest.raises(LatentsError, match=f"(?s){said}"):
        all_of(latents.of_file(network(), tmp_path / "z.npy", count))


@pytest.mark.parametrize("damage", ["no directory", "no end of the header"])
def test_a_damaged_file_is_named(damage: str, tmp_path: Path) -> None:
    """Of a zip file, and of an array, whose header is Python code."""
    whole = io.BytesIO()
    (np.savez if damage == "no directory" else np.save)(whole, np.zeros((3, 7)))
    content = whole.getvalue()[:200].replace(b"}", b"(")
    file = tmp_path / "latents.npy"
    file.write_bytes(content)
    with pytest.raises(LatentsError, match=r"latents.npy cannot be read"):
        latents.of_file(network(), file)


def test_a_missing_file_and_a_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(LatentsError, match=r"z.npy cannot be read: No such file"):
        latents.of_file(network(), tmp_path / "z.npy")
    (tmp_path / "z.npy").write_text("hello world\n")
    with pytest.raises(LatentsError, match=r"z.npy cannot be read: it holds no plain array"):
        latents.of_file(network(), tmp_path / "z.npy")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_a_walk_goes_through_its_seeds_without_a_jump(law: str) -> None:
    chosen = network(50, law)
    ends = [latents.first_of_seed(chosen, seed).flatten() for seed in (3, 8, 1)]
    open_walk = all_of(latents.walk(chosen, [3, 8, 1], 40, closed=False))
    closed_walk = all_of(latents.walk(chosen, [3, 8, 1], 40, closed=True))
    assert (len(open_walk), len(closed_walk)) == (81, 120)
    torch.testing.assert_close(open_walk[:80], closed_walk[:80])
    for place, end in ((0, ends[0]), (40, ends[1]), (80, ends[2])):
        torch.testing.assert_close(open_walk[place], end)
    strides = (closed_walk.roll(-1, 0) - closed_walk).norm(dim=1)
    longest_way = max((a - b).norm() for a in ends for b in ends)
    assert strides.max() < 0.04 * longest_way
    if law == "normal":
        lengths = closed_walk.norm(dim=1)
        assert lengths.min() > 0.99 * min(end.norm() for end in ends), "as probable as its ends"


def test_an_interpolation_has_the_wanted_number_of_images_and_both_ends() -> None:
    points = all_of(latents.walk(network(), (4, 9), 9, closed=False))
    assert len(points) == 10
    torch.testing.assert_close(points[0], latents.first_of_seed(network(), 4).flatten())
    torch.testing.assert_close(points[-1], latents.first_of_seed(network(), 9).flatten())
