"""FID and KID between any two sources of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.evaluator import CountImages, ImageCounter
from dcgan.evaluation.features.feature_space import FeatureSpace
from dcgan.evaluation.image_sources import ImageSource
from dcgan.evaluation.metrics.distances import frechet_distance, kernel_distance, sample_warnings
from dcgan.training.precision import ieee_float32


@dataclass(frozen=True)
class ImageDistance:
    """How far two sets of images are apart.

    Attributes:
        fid: The Frechet distance of their features.
        kid: The kernel distance.
        warnings: What makes these values misleading, in sentences for the reader.
    """

    fid: float
    kid: float
    warnings: Sequence[str]


@ieee_float32()
def image_distance(
    first: ImageSource, second: ImageSource, space: FeatureSpace, count_images: CountImages
) -> ImageDistance:
    """Compare two sources of images by their features.

    Args:
        first: Images.
        second: Other images.
        space: Whose features.
        count_images: Called while features are computed.

    Raises:
        EvaluationError: One of them has a single image.
        DataError: An image cannot be read.
        GenerationError: Images of a generator are not finite.
    """
    for source in (first, second):
        if source.count < 2:
            raise EvaluationError(
                f"{source.description}: FID needs at least 2 images of each kind, better 10,000."
            )
    features, others = (
        source.features(space, ImageCounter(f"images of {name}", source.count, count_images).add)
        for name, source in (("A", first), ("B", second))
    )
    warnings = sample_warnings(min(first.count, second.count), features.shape[1])
    if first.sizes != second.sizes:
        warnings.append(
            "The images of A and B have different sizes, and FID also measures how sharp they are. "
            "Resize those that are larger, by a filter that does not alias."
        )
    fid, kid = frechet_distance(features, others), kernel_distance(features, others)
    return ImageDistance(fid, kid, warnings)
