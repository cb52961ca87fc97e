"""The feature space in which images are compared, and the name that its metrics bear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dcgan.data.image_set import ImageSet
from dcgan.data.scaling import to_unit_range
from dcgan.evaluation.features.classifier import is_labelled, load_classifier
from dcgan.evaluation.features.inception import find_weights, load_inception
from dcgan.evaluation.features.lenet import RandomFeatures

RANDOM_SEED = 0
_BATCH = 512


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """prefix: of the metrics' names, such as `lenet_` in `lenet_fid`; empty for Inception's.

    extract: uint8 images (n, C, H, W) on `device` to features (n, D). description: what a
    reader must know of the network.
    """

    prefix: str
    extract: Callable[[Tensor], Tensor]
    device: torch.device
    description: str

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """uint8 images (N, C, H, W) to features, float32 (N, D) on the CPU."""
        parts = [self.extract(batch.to(self.device)).cpu() for batch in pixels.split(_BATCH)]
        return torch.cat(parts)


def feature_space(
    images: ImageSet, device: torch.device, weights: Path | None = None
) -> FeatureSpace:
    """Inception's where its weights are at hand, else features that need no download.

    weights: a file of Inception's weights; None looks for them in the cache. Without them a
    classifier's features where the images are labelled, else those of random weights.
    Raises EvaluationError for a file that is none.
    """
    found = weights or find_weights()
    if found is not None:
        inception = load_inception(found, device)
        return FeatureSpace(inception.prefix, inception.extract, device, inception.description)
    if not is_labelled(images):
        network = RandomFeatures(images.pixels.shape[1], RANDOM_SEED).to(device).eval()
        described = f"a network with random weights, seed {RANDOM_SEED}"
        return FeatureSpace(
            "random_", lambda pixels: network.features(to_unit_range(pixels)), device, described
        )
    classifier = load_classifier(images, device)
    of_what = "the digits of each channel" if classifier.stacked else "the same data"
    described = (
        f"a LeNet trained here on {of_what}: accuracy {classifier.accuracy:.4f} on held-out "
        f"images, weights {classifier.digest}"
    )
    return FeatureSpace("lenet_", classifier.features, device, described)
