"""Inception-v3 for FID, and its weights from a file of torch-fidelity's or from a package.

The network is torch-fidelity's (Obukhov et al. 2020), which agrees with the original TensorFlow
graph. Nothing that a file of weights contains is ever run.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

FEATURES = ("2048",)
"""By which FID and KID are defined."""

ARCHIVE_PARTS = ("conv.weight", "bn.bias", "bn.running_mean", "bn.running_var")
"""The tensors of each layer in the archive, in their order."""


def read_archive(content: bytes) -> dict[str, Tensor]:
    """The weights in the archive, as torch-fidelity names them, with a classifier of zeros.

    content: the archive, whose digest has been checked. Its storages are numbered in the order of
    torch-fidelity's layers, four to a layer, so that neither its code nor its pickles are needed.
    """
    weights = _empty_network(FEATURES).state_dict()
    for name, tensor in weights.items():
        initial = torch.ones if name.endswith("bn.weight") else torch.zeros
        weights[name] = initial(tensor.shape, dtype=tensor.dtype)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (table,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        storages = table.removesuffix(".pkl")
        layers = [name.removesuffix(".conv.weight") for name in weights if ".conv." in name]
        names = [f"{layer}.{part}" for layer in layers for part in ARCHIVE_PARTS]
        for number, name in enumerate(names):
            values = np.frombuffer(archive.read(f"{storages}/{number}"), "<f4")
            weights[name] = torch.tensor(values).view(weights[name].shape)
    return weights


def inception_network(weights: dict[str, Tensor], features: Sequence[str] = FEATURES) -> nn.Module:
    """Inception-v3 in evaluation mode: from uint8 (N, 3, H, W) to features (N, D) of each kind.

    Args:
        weights: Tensors by torch-fidelity's names.
        features: Kinds of torch-fidelity's features: `64`, `192`, `768` and `2048`.

    Raises:
        RuntimeError: `weights` lacks some, or they have other shapes.
    """
    network = _empty_network(features)
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False)


def fused(network: nn.Module) -> nn.Module:
    """The network with batch norm in the convolutions' weights, and channels last.

    Features change by 1e-6 of their size, and take two thirds of the processor time.
    """
    for layer in network.modules():
        if isinstance(layer, BasicConv2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)
            layer.bn = nn.Identity()
    return network.to(memory_format=torch.channels_last)


def _empty_network(features: Sequence[str]) -> nn.Module:
    """The network on the meta device, without values."""
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.device("meta"):
        return _Inception("inception", list(features), nothing)


class _Inception(FeatureExtractorInceptionV3):  # type: ignore[misc]  # it has no types
    """torch-fidelity's network, whose constructor unpickles a file: here one of nothing."""

    def load_state_dict(self, weights: dict[str, Tensor], *args: bool, **more: bool) -> None:
        if not self.training:  # only the constructor calls it before evaluation mode
            super().load_state_dict(weights, *args, **more)
