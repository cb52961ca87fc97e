"""Frechet distances in the features that evaluations use: on a device, and on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from dcgan.config.loading import load_config
from dcgan.data.loading import load_images
from dcgan.evaluation.features.feature_space import FeatureSpace, feature_spaces
from dcgan.evaluation.metrics.distances import frechet_distance
from dcgan.training.precision import has_tf32, ieee_float32, pytorch_default_convolutions

IMAGES = 200
"""Of each kind. Few, as Inception takes a tenth of a second for each on the CPU."""

CPU = torch.device("cpu")


def compare_distances(device: torch.device) -> tuple[str, float]:
    """Compare the distances of two sets of digits.

    Features are computed on the device as evaluations compute them: Inception's, if its weights
    are at hand, with convolutions in TF32 where the device has it, the LeNet's in float32. The
    LeNet's in TF32 are shown beside them.

    Args:
        device: What is compared with the CPU, which computes in float32.

    Returns:
        All distances as text, and the largest relative difference from those of the CPU.
    """
    images = load_images(load_config("digits", []).dataset)
    order = torch.randperm(len(images.pixels), generator=torch.Generator().manual_seed(0))
    real, others = (images.pixels[part] for part in order[: 2 * IMAGES].split(IMAGES))
    fake = others // 2 + others.flip(3) // 2  # blurred by their mirror images
    texts, differences = [], []
    for here, reference in zip(
        feature_spaces(images, device), feature_spaces(images, CPU), strict=True
    ):
        with ieee_float32():
            expected = _distance(reference, real, fake)
            found = _distance(here, real, fake)
        text = f"{here.prefix}fid {found:.6g}, on the CPU {expected:.6g}"
        if here.prefix and has_tf32(device):
            with pytorch_default_convolutions(device):
                text += f", in TF32 {_distance(here, real, fake):.6g}"
        texts.append(text)
        differences.append(abs(found - expected) / expected)
    return "; ".join(texts), max(differences)


def _distance(space: FeatureSpace, real: Tensor, fake: Tensor) -> float:
    return frechet_distance(space.features(real), space.features(fake))
