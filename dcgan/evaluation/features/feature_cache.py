"""Features of real images, kept by the images' fingerprint and the network.

Deleting the folder only costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcgan.cache_dir import cache_folder
from dcgan.evaluation.features.feature_space import FeatureSpace, ignore_count
from tracking.atomic_files import atomic_write

FORMAT = 1
"""Increased whenever the same network would compute other features."""


def cached_features(
    space: FeatureSpace,
    pixels: Tensor,
    fingerprint: str,
    order: str,
    count: Callable[[int], None] = ignore_count,
) -> Tensor:
    """The features of the first images of a set in some order; only new ones are computed.

    Args:
        space: The network.
        pixels: The images, uint8 (N, C, H, W).
        fingerprint: The fingerprint of all images of the set.
        order: The name of an order in which `pixels` are the first N of the set.
        count: Called with numbers of images whose features were computed.

    Returns:
        float32 (N, D), on the CPU.
    """
    return cached_computation(
        space,
        len(pixels),
        lambda start: space.features(pixels[start:], count),
        fingerprint,
        order,
    )


def cached_computation(
    space: FeatureSpace,
    size: int,
    compute: Callable[[int], Tensor],
    fingerprint: str,
    order: str,
) -> Tensor:
    """As `cached_features`, for images that are not in one tensor.

    Args:
        space: The network.
        size: How many images there are, N.
        compute: Features of the images from a position on, float32 (n, D).
        fingerprint: The fingerprint of all images of the set.
        order: The name of an order in which these images are the first N of the set.

    Returns:
        float32 (N, D), on the CPU.
    """
    key = f"{FORMAT} {space.network} {space.device.type} {fingerprint} {order}"
    file = cache_folder() / "features" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    saved = _read(file)
    if saved is None:
        features = compute(0)
    elif len(saved) >= size:
        return saved[:size]
    else:
        features = torch.cat([saved, compute(len(saved))])
    with contextlib.suppress(OSError):  # an evaluation works without the cache
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary, temporary.open("wb") as target:
            np.savez(target, features=features.numpy())
    return features


def _read(file: Path) -> Tensor | None:
    """The features in a file, whose checksum a zip archive holds; None if it is damaged."""
    try:
        with np.load(file) as archive:
            return torch.from_numpy(archive["features"])
    except Exception:  # a damaged file may seem encrypted, or of a later version of zip
        return None
