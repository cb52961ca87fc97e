"""Latents that a user chooses: from seeds, from a file, or between two seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from dcgan.config.schema import Network
from dcgan.sampling import BATCH, draw_latents, seeded_batches
from tracking.errors import UserError
from tracking.wording import plural

_DRAWN_TOGETHER = 16
"""Latents to draw at once, so that the first equals the first of `seeded_batches`."""


class LatentsError(UserError):
    """Latents that a generator cannot take."""


@dataclass(frozen=True, eq=False)
class Latents:
    """Latents in an order, batch by batch, so that any number of them fits into memory.

    Attributes:
        count: Their number.
        batches: Yields (BATCH, latent_size, 1, 1); the last batch may be padded beyond `count`.
        name: The name of the k-th image, from 0, without a file extension.
    """

    count: int
    batches: Callable[[], Iterator[Tensor]]
    name: Callable[[int], str]


def of_seed(network: Network, seed: int, count: int) -> Latents:
    """The first latents of a seed. The k-th is the same for any `count`.

    Args:
        network: Gives their size and distribution.
        seed: The seed of the latents.
        count: Their number.
    """
    return Latents(count, lambda: seeded_batches(count, network, seed), _numbered(count))


def of_seeds(network: Network, seeds: Sequence[int]) -> Latents:
    """The first latent of each seed; images are named after their seeds."""

    def batches() -> Iterator[Tensor]:
        for start in range(0, len(seeds), BATCH):
            chosen = seeds[start : start + BATCH]
            yield _filled(torch.stack([first_of_seed(network, seed) for seed in chosen]))

    width = len(str(max(seeds)))
    return Latents(len(seeds), batches, lambda index: f"seed-{seeds[index]:0{width}d}")


def first_of_seed(network: Network, seed: int) -> Tensor:
    """The latent of the first image of a seed, (latent_size, 1, 1)."""
    rng = torch.Generator().manual_seed(seed)
    return draw_latents(_DRAWN_TOGETHER, network, rng)[0]


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # What NumPy says of any other content is how to load it unsafely.
    return "it holds no plain array" if "pickle" in str(error) else str(error).rstrip(".")


def of_file(network: Network, path: Path, count: int | None = None) -> Latents:
    """The latents in a NumPy file, floats (N, latent_size) or (N, latent_size, 1, 1).

    Args:
        network: Gives their size.
        path: The file, `.npy`, which is read as it is needed.
        count: How many to use, from the first on; None for all.

    Raises:
        LatentsError: The file does not hold enough of such latents, or some are not finite.
    """
    expected = f"an array of floats, (N, {network.latent_size}), as numpy.save writes it"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy raises almost anything on a damaged file
        raise LatentsError(
            f"{path} cannot be read: {_reason(error)}.\nIt should hold {expected}."
        ) from error
    size = network.latent_size
    if (
        not isinstance(array, np.ndarray)
        or array.dtype.kind != "f"
        or array.shape[1:] not in ((size,), (size, 1, 1))
        or not len(array)
    ):
        held = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise LatentsError(f"{path} holds {held}.\nIt should hold {expected}.")
    if count is not None and count > len(array):
        raise LatentsError(
            f"{path} holds {plural(len(array), 'latent')}, fewer than -n {count:,}.\n"
            "Leave -n out to take all of them."
        )
    count = count or len(array)

    def batches() -> Iterator[Tensor]:
        for start in range(0, count, BATCH):
            block = np.asarray(array[start : min(start + BATCH, count)], np.float32)
            if not np.isfinite(block).all():
                raise LatentsError(f"{path} holds latents that are not finite numbers.")
            yield _filled(torch.from_numpy(block.copy()).view(-1, size, 1, 1))

    return Latents(count, batches, _numbered(count))


def walk(network: Network, seeds: Sequence[int], steps: int, *, closed: bool) -> Latents:
    """A walk from the first latent of a seed to that of the next, and so on.

    Args:
        network: Gives the size and distribution of the latents; see `between`.
        seeds: At least two, unless the walk is closed and has one point.
        steps: Latents per stretch between two seeds, the seed at its end left out.
        closed: Whether the walk returns to the first seed; if not, it ends at the last one, whose
            latent is one more.
    """
    ends = torch.stack([first_of_seed(network, seed) for seed in seeds]).flatten(1)
    stretches = list(pairwise([*range(len(seeds)), *([0] if closed else [])]))
    shares = torch.arange(steps, dtype=ends.dtype) / steps
    count = len(stretches) * steps + (not closed)

    def batches() -> Iterator[Tensor]:
        points = [
            between(network, ends[[start]].expand(steps, -1), ends[[end]].expand(steps, -1), shares)
            for start, end in stretches
        ]
        all_points = torch.cat([*points, *([] if closed else [ends[-1:]])])
        for batch in all_points.split(BATCH):
            yield _filled(batch[:, :, None, None])

    return Latents(count, batches, _numbered(count))


def between(network: Network, first: Tensor, last: Tensor, shares: Tensor) -> Tensor:
    """Latents on the way between others, as probable as those at its ends.

    On great circles if latents are normal (White 2016), on straight lines if they are uniform.

    Args:
        network: Gives the distribution of the latents.
        first: Where to start, (N, D).
        last: Where to end, (N, D).
        shares: How far along, a scalar or (N,): 0 is `first`, 1 is `last`.

    Returns:
        The points, (N, D).
    """
    shares = shares.view(-1, 1)
    if network.latent_law == "uniform":
        return torch.lerp(first, last, shares)
    return slerp(first, last, shares)


def slerp(first: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """Points on great circles (Shoemake 1985), whose length changes linearly between the ends.

    Args:
        first: Where to start, (N, D).
        last: Where to end, (N, D).
        share: How far along, a scalar or (N, 1): 0 is `first`, 1 is `last`.

    Returns:
        The points, (N, D).
    """
    lengths = [each.norm(dim=1, keepdim=True) for each in (first, last)]
    unit_first, unit_last = first / lengths[0], last / lengths[1]
    cosine = (unit_first * unit_last).sum(1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos().clamp_min(1e-6)
    direction = ((1 - share) * angle).sin() * unit_first + (share * angle).sin() * unit_last
    points: Tensor = direction / angle.sin() * torch.lerp(lengths[0], lengths[1], share)
    return points


def _numbered(count: int) -> Callable[[int], str]:
    width = max(5, len(str(count - 1)))
    return lambda index: f"{index:0{width}d}"


def _filled(latents: Tensor) -> Tensor:
    """A full batch, padded with zeros, on which no other image of the batch depends."""
    return F.pad(latents, (0, 0, 0, 0, 0, 0, 0, BATCH - len(latents)))
