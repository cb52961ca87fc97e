"""The initial weights of Radford et al. 2016, section 4."""

from __future__ import annotations

from torch import nn


def initialise(network: nn.Module, bn_mean: float = 1.0) -> None:
    """Draw the weights of convolutions from N(0, 0.02), batch norm's scale from N(bn_mean, 0.02).

    Batch norm's shift becomes 0. Linear layers and the biases of convolutions stay as they are.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, bn_mean, 0.02)
            nn.init.zeros_(layer.bias)
