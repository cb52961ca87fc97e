"""The feature space in which images are compared, and the prefix of its metrics' names."""

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
from dcgan.training.precision import ieee_float32

RANDOM_SEED = 0
_BATCH = 512


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """A network's features.

    Attributes:
        prefix: Of the metrics' names, such as `lenet_` in `lenet_fid`; empty for Inception's.
        extract: From uint8 images (n, C, H, W) on `device` to features (n, D).
        device: Where the network is.
        description: What a reader must know about the network.
    """

    prefix: str
    extract: Callable[[Tensor], Tensor]
    device: torch.device
    description: str

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """From uint8 images (N, C, H, W) to features, float32 (N, D) on the CPU."""
        parts = [self.extract(batch.to(self.device)).cpu() for batch in pixels.split(_BATCH)]
        return torch.cat(parts)


@ieee_float32()
def feature_space(
    images: ImageSet, device: torch.device, weights: Path | None = None
) -> FeatureSpace:
    """Inception's features if its weights are at hand, otherwise features that need no download.

    Those are a classifier's if the images are labelled, otherwise a random network's.

    Args:
        images: What the run was trained on.
        device: Where the features are computed.
        weights: A file with Inception's weights; None looks for it in the cache.

    Raises:
        EvaluationError: The file does not hold Inception's weights.
    """
    weights = weights or find_weights()
    if weights is not None:
        inception = load_inception(weights, device)
        return FeatureSpace(inception.prefix, inception.extract, device, inception.description)
    if not is_labelled(images):
        network = RandomFeatures(images.pixels.shape[1], RANDOM_SEED).to(device).eval()
        description = f"a network with random weights, seed {RANDOM_SEED}"
        return FeatureSpace(
            "random_", lambda pixels: network.features(to_unit_range(pixels)), device, description
        )
    classifier = load_classifier(images, device)
    subject = "the digits of each channel" if classifier.stacked else "the same data"
    description = (
        f"a LeNet trained here on {subject}: accuracy {classifier.accuracy:.4f} on held-out "
        f"images, weights {classifier.digest}"
    )
    return FeatureSpace("lenet_", classifier.features, device, description)
