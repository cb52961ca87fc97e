"""The feature space in which images are compared, and the name that its metrics bear."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.data import ImageSet, scale
from dcgan.evaluation.classifier import Classifier, load_classifier
from dcgan.evaluation.networks import LeNet, RandomFeatures

RANDOM_SEED = 0
LEAST_LABELLED = 1_000
"""Of fewer images a classifier learns too little for its features to mean much."""

_BATCH = 512


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """name: before the metrics', such as `lenet` in `lenet_fid`; no plain FID is computed here.

    network: gives the features. classifier: None where there are no labels. description: what
    a reader must know of the network.
    """

    name: str
    network: LeNet | RandomFeatures
    classifier: Classifier | None
    description: str

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """uint8 images (N, C, H, W) to features, float32 (N, 128) on the CPU."""
        device = next(self.network.parameters()).device
        parts = [
            self.network.features(scale(batch.to(device))).cpu() for batch in pixels.split(_BATCH)
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def classes(self, features: Tensor) -> Tensor:
        """Features (N, 128) to the likeliest class, int64 (N,); needs a classifier."""
        assert self.classifier is not None
        output = self.classifier.network.output
        predicted: Tensor = output(features.to(output.weight.device)).argmax(dim=1).cpu()
        return predicted


def feature_space(images: ImageSet, device: torch.device) -> FeatureSpace:
    """A classifier's features where the images are labelled, else those of random weights."""
    labelled = images.labels is not None and len(images.card.classes) > 1
    if not labelled or len(images.pixels) < LEAST_LABELLED:
        network = RandomFeatures(images.pixels.shape[1], RANDOM_SEED).to(device).eval()
        return FeatureSpace(
            "random", network, None, f"a network with random weights, seed {RANDOM_SEED}"
        )
    classifier = load_classifier(images, device)
    return FeatureSpace(
        "lenet",
        classifier.network,
        classifier,
        f"a LeNet trained here on the same data: accuracy {classifier.accuracy:.4f} on held-out "
        f"images, weights {classifier.digest}",
    )
