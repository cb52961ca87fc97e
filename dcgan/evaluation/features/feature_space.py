"""The feature spaces in which images are compared, and the prefix of their metrics' names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dcgan.data.image_set import ImageSet
from dcgan.data.scaling import to_unit_range
from dcgan.evaluation.features import inception
from dcgan.evaluation.features.classifier import MIN_LABELLED, is_labelled, load_classifier
from dcgan.evaluation.features.inception import load_inception
from dcgan.evaluation.features.lenet import RandomFeatures, weights_digest
from dcgan.training.precision import ieee_float32

RANDOM_SEED = 0
_BATCH = 512


def ignore_count(images: int) -> None:
    """A callback for numbers of images that does nothing."""


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """A network's features.

    Attributes:
        prefix: The prefix of the metrics' names, such as `lenet_` of `lenet_fid`; empty for
            Inception's.
        extract: Maps uint8 images (n, C, H, W) on `device` to features (n, D).
        device: Where the network is.
        description: The description of the network, for the reader.
        network: Identifies the network with its weights.
        batch: Images per call of `extract`.
    """

    prefix: str
    extract: Callable[[Tensor], Tensor]
    device: torch.device
    description: str
    network: str
    batch: int = _BATCH

    @torch.no_grad()
    def features(self, pixels: Tensor, count: Callable[[int], None] = ignore_count) -> Tensor:
        """Features of images, with a few images in the network at a time.

        Args:
            pixels: uint8 (N, C, H, W).
            count: Called after each batch with its number of images.

        Returns:
            float32 (N, D), on the CPU.
        """
        parts = []
        for batch in pixels.split(self.batch):
            parts.append(self.extract(batch.to(self.device)).cpu())
            count(len(batch))
        return torch.cat(parts)


def feature_spaces(
    images: ImageSet,
    device: torch.device,
    *,
    use_inception: bool = True,
    weights: Path | None = None,
) -> list[FeatureSpace]:
    """The spaces of an evaluation, that of plain FID first if there is one.

    Args:
        images: What the run was trained on.
        device: Where the features are computed.
        use_inception: Whether to use Inception if its weights are available.
        weights: A file with Inception's weights, which are then used in any case.

    Returns:
        Inception's, if its weights are available, and the one of `own_space`.

    Raises:
        EvaluationError: The file does not hold Inception's weights.
    """
    own = own_space(images, device)
    if weights is None and not use_inception:
        return [own]
    plain = inception_space(device, weights)
    return [own] if plain is None else [plain, own]


def count_spaces(*, use_inception: bool = True) -> int:
    """How many spaces `feature_spaces` will have, without loading any."""
    return 2 if use_inception and inception.find_weights() is not None else 1


@ieee_float32()
def inception_space(device: torch.device, weights: Path | None = None) -> FeatureSpace | None:
    """Inception's features; None if its weights are not available.

    Args:
        device: Where the features are computed.
        weights: A file with Inception's weights; None looks for it, see `find_weights`.

    Raises:
        EvaluationError: The file does not hold Inception's weights.
    """
    weights = weights or inception.find_weights()
    if weights is None:
        return None
    network = load_inception(weights, device)
    batch = inception.BATCH if device.type == "cpu" else inception.GPU_BATCH
    return FeatureSpace(
        prefix=network.prefix,
        extract=network.extract,
        device=device,
        description=network.description,
        network=f"inception {network.digest}",
        batch=batch,
    )


@ieee_float32()
def own_space(images: ImageSet, device: torch.device) -> FeatureSpace:
    """Features without pretrained weights: those of a classifier trained here on labelled images.

    Without labels, or with too few to learn from, they are a random network's.

    Args:
        images: What the run was trained on.
        device: Where the features are computed.
    """
    if not is_labelled(images):
        return _random_space(images, device)
    classifier = load_classifier(images, device)
    subject = "the digits of each channel" if classifier.stacked else "the same data"
    description = (
        f"a LeNet trained here on {subject}: accuracy {classifier.accuracy:.4f} on held-out "
        f"images, weights {classifier.digest}"
    )
    network = f"lenet {classifier.digest}{' stacked' if classifier.stacked else ''}"
    return FeatureSpace("lenet_", classifier.features, device, description, network)


def _random_space(images: ImageSet, device: torch.device) -> FeatureSpace:
    network = RandomFeatures(images.pixels.shape[1], RANDOM_SEED).to(device).eval()
    reason = "the images have no labels to train a classifier on"
    if images.labels is not None and len(images.card.classes) > 1:
        reason = (
            f"{len(images.pixels):,} labelled images are too few to train a classifier on, "
            f"which takes {MIN_LABELLED:,}"
        )
    return FeatureSpace(
        prefix="random_",
        extract=lambda pixels: network.features(to_unit_range(pixels)),
        device=device,
        description=f"a network with random weights, seed {RANDOM_SEED}, because {reason}",
        network=f"random {weights_digest(network)}",
    )
