"""Inception's features, by which FID and KID are defined, for users who have its weights.

Nothing is downloaded. The network and the conversion of its weights are torch-fidelity's
(Obukhov et al. 2020), which agree with the original TensorFlow graph.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dcgan.cache_dir import cache_folder
from tracking.errors import UserError

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""torch-fidelity's release of the weights; the last word begins the SHA-256 of the file."""

_FEATURES = "2048"
_BATCH = 64


class EvaluationError(UserError):
    """An evaluation that cannot be run with the given weights, explained for the user."""


@dataclass(frozen=True, eq=False)
class Inception:
    """The network, ready to use.

    Attributes:
        prefix: Of the metrics' names; empty for the weights that everybody measures FID with.
        extract: From uint8 images (N, 1 or 3, H, W) to features (N, 2048).
        description: What a reader must know about the weights.
    """

    prefix: str
    extract: Callable[[Tensor], Tensor]
    description: str


def find_weights() -> Path | None:
    """The file in this project's cache, or where torch.hub would put it; None if in neither."""
    for folder in (cache_folder(), Path(torch.hub.get_dir()) / "checkpoints"):
        if (folder / WEIGHTS).exists():
            return folder / WEIGHTS
    return None


def load_inception(file: Path, device: torch.device) -> Inception:
    """Load the network; raises EvaluationError if the file does not hold its weights.

    With weights other than the usual ones metrics are named by their hash, such as
    `inception_1a2b3c4d_fid`.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        # torch-fidelity unpickles whatever a file holds, code included; this refuses all but
        # tensors.
        torch.load(file, map_location="cpu", weights_only=True)
        network = FeatureExtractorInceptionV3("inception", [_FEATURES], str(file))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EvaluationError(
            f"{file} holds no weights of Inception: {reason}\n"
            f"Give torch-fidelity's file {WEIGHTS} with --weights."
        ) from error
    network.to(device)

    def extract(pixels: Tensor) -> Tensor:
        rgb = pixels.expand(-1, 3, -1, -1)
        return torch.cat([network(batch)[0] for batch in rgb.split(_BATCH)])

    if WEIGHTS.endswith(f"-{digest}.pth"):
        return Inception("", extract, f"Inception-v3, weights {digest}")
    description = f"Inception-v3 with weights {digest}, which are not the usual ones"
    return Inception(f"inception_{digest}_", extract, description)
