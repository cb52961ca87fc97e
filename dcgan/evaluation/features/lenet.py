"""Small networks whose hidden layers are feature spaces: a classifier, and a random one."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

FEATURES = 128
LARGEST = 32


class LeNet(nn.Module):
    """A classifier after LeCun et al. 1998, with ReLU, batch norm and max-pooling.

    From images, float (N, C, H, W) in [-1, 1] with sides of at least 16, to logits (N,
    classes). Sides of more than 32 pixels are averaged down to 32.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_conv_block(channels, 16), *_conv_block(16, 32), *_conv_block(32, 64)
        )
        self.hidden = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * 64, FEATURES), nn.ReLU()
        )
        self.output = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """The hidden layer before the logits, (N, 128)."""
        height, width = images.shape[-2:]
        if max(height, width) > LARGEST:
            images = adaptive_avg_pool2d(images, (min(height, LARGEST), min(width, LARGEST)))
        hidden: Tensor = self.hidden(self.convolutions(images))
        return hidden

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits, (N, classes)."""
        logits: Tensor = self.output(self.features(images))
        return logits


class RandomFeatures(nn.Module):
    """An untrained LeNet: a random projection.

    Naeem et al. 2020, section 5, use such features where those that a network has learnt on
    other images do not fit.
    """

    def __init__(self, channels: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = LeNet(channels, classes=1).eval()
            for layer in self.network.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    assert layer.bias is not None
                    nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> Tensor:
        """The features (N, 128) of images, float (N, C, H, W) in [-1, 1]."""
        return self.network.features(images)


def weights_digest(network: nn.Module) -> str:
    """The first 12 digits of the SHA-256 of the names, shapes and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _conv_block(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
