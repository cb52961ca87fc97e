"""Frechet distances in the features that evaluations use: on a device, and on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.config.loading import load_config
from dcgan.data.loading import load_images
from dcgan.evaluation.features.feature_space import FeatureSpace, feature_spaces
from dcgan.evaluation.metrics.distances import frechet_distance
from dcgan.training.precision import has_tf32, ieee_float32, pytorch_default_convolutions

IMAGES = 200
"""Images of each kind; few, because Inception takes 0.1 s for each on the CPU."""

TOLERANCE, TF32_TOLERANCE = 1e-3, 1e-2
"""The largest relative differences; TF32's own is a tenth of this (docs/evaluation.md)."""

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ComparedDistance:
    """A Frechet distance on a device beside that of the CPU.

    Attributes:
        text: Both, and that in TF32 where evaluations use float32.
        difference: Relative to the CPU's.
        allowed: The largest difference that rounding explains.
    """

    text: str
    difference: float
    allowed: float


def compare_distances(device: torch.device) -> list[ComparedDistance]:
    """Compare the distances of two sets of digits in the features that evaluations use.

    Features are computed on the device as evaluations compute them: Inception's, if its weights
    are at hand, with convolutions in TF32 where the device has it, the LeNet's in float32.

    Args:
        device: What is compared with the CPU, which computes in float32.
    """
    images = load_images(load_config("digits", []).dataset)
    order = torch.randperm(len(images.pixels), generator=torch.Generator().manual_seed(0))
    real, others = (images.pixels[part] for part in order[: 2 * IMAGES].split(IMAGES))
    fake = others // 2 + others.flip(3) // 2  # blurred by their mirror images
    compared = []
    for space, reference in zip(
        feature_spaces(images, device), feature_spaces(images, CPU), strict=True
    ):
        with ieee_float32():
            expected = _distance(reference, real, fake)
            distance = _distance(space, real, fake)
        text = f"{space.prefix}fid {distance:.6g}, on the CPU {expected:.6g}"
        uses_tf32 = has_tf32(device) and space.network.startswith("inception")
        if has_tf32(device) and not uses_tf32:
            with pytorch_default_convolutions(device):
                text += f", in TF32 {_distance(space, real, fake):.6g}"
        difference = abs(distance - expected) / expected
        allowed = TF32_TOLERANCE if uses_tf32 else TOLERANCE
        compared.append(ComparedDistance(text, difference, allowed))
    return compared


def _distance(space: FeatureSpace, real: Tensor, fake: Tensor) -> float:
    return frechet_distance(space.features(real), space.features(fake))
