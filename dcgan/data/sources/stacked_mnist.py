"""Stacked MNIST: three random digits as the channels of an image, which makes 1,000 known modes.

Metz et al. 2017 (Unrolled GAN), section 3.3.1, use it to count how many modes a generator finds;
the number of images is that of Lin et al. 2018 (PacGAN), section 4.2.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import torch

from dcgan.data.decoding import Pixels
from dcgan.data.image_set import ImageSet

COUNT, SEED = 128_000, 0
CLASSES = tuple(f"{number:03d}" for number in range(1_000))
"""The digits of the red, the green and the blue channel, in this order."""


def stack(digits: Pixels, labels: npt.NDArray[np.int64]) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Digits (N, H, W) with labels 0 to 9 to images (128,000, H, W, 3) with labels 0 to 999.

    The triples are drawn with replacement, by a fixed seed.
    """
    triples = np.random.default_rng(SEED).integers(0, len(digits), (COUNT, 3))
    return np.moveaxis(digits[triples], 1, -1), labels[triples] @ np.array([100, 10, 1])


def unstack(images: ImageSet, count: int) -> ImageSet | None:
    """The single digits of the first `count` images; None if the set is not stacked MNIST.

    They are uint8 (3 * count, 1, H, W) with labels 0 to 9.
    """
    if images.card.classes != CLASSES or images.labels is None:
        return None
    pixels, labels = images.pixels[:count], images.labels[:count]
    digits = torch.stack([labels // 100, labels // 10 % 10, labels % 10], dim=1)
    card = dataclasses.replace(images.card, classes=tuple("0123456789"))
    return ImageSet(pixels.flatten(0, 1).unsqueeze(1), card, digits.flatten())
