"""Distances between the features of real images and of fakes: Frechet's and the kernel's.

One of several processes evaluates, so torchmetrics must not wait for features of the others, which
`sync_on_compute` would do.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

SUBSETS, SUBSET_SIZE = 100, 1_000

UNBIASED = 10_000
"""The number of images from which the authors of FID recommend it (Heusel et al. 2017)."""

_ADVICE = f"Use {UNBIASED:,}, or compare only values of equally many; KID has no such bias."


class _Extracted(nn.Module):
    """Replaces torchmetrics' feature extractor, because the features are already extracted."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """The squared 2-Wasserstein distance of two Gaussians (Heusel et al. 2017, equation 6).

    real, fake: features (N, D), N > D for a covariance of full rank. Smaller is better, from 0.
    By torchmetrics, in float64 and on the CPU: it takes eigenvalues, which are slow elsewhere.
    """
    extractor = _Extracted(real.shape[1])
    metric = FrechetInceptionDistance(extractor, sync_on_compute=False).set_dtype(torch.float64)
    metric.update(real.cpu().double(), real=True)
    metric.update(fake.cpu().double(), real=False)
    distance = float(metric.compute())
    return 0.0 if distance < 0 else distance  # by rounding, for equal images


def kernel_distance(real: Tensor, fake: Tensor, seed: int = 0) -> float:
    """The squared maximum mean discrepancy, cubic kernel (Binkowski et al. 2018, section 4).

    The mean over 100 random subsets of 1,000, or of all if there are fewer; by torchmetrics.
    Smaller is better; it is unbiased, so it may be below 0.

    Args:
        real: Features (N, D).
        fake: Features (M, D), on the same device.
        seed: The seed of the subsets.
    """
    size = min(SUBSET_SIZE, len(real), len(fake))
    with warnings.catch_warnings():  # about the memory that features take, which is small here
        warnings.simplefilter("ignore", UserWarning)
        metric = KernelInceptionDistance(
            _Extracted(real.shape[1]), SUBSETS, size, sync_on_compute=False
        )
    metric = metric.to(real.device)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, _ = metric.compute()
    return float(mean)


def sample_warnings(images: int, dimensions: int) -> list[str]:
    """Warnings for the reader if a Frechet distance is of too few images.

    Args:
        images: Number of real images or of fakes, whichever is smaller.
        dimensions: The number of their features.
    """
    if images <= dimensions:
        return [
            f"{images:,} images are too few for FID: the covariance of {dimensions:,} features "
            f"needs more than that many images to have full rank. FID is far too high. {_ADVICE}"
        ]
    if images < UNBIASED:
        return [f"FID of {images:,} images is too high, the more so the fewer they are. {_ADVICE}"]
    return []
