"""Weight initialisation as in Radford et al. 2016, and as in TensorFlow."""

from __future__ import annotations

from torch import nn


def initialise_dcgan(network: nn.Module, bn_mean: float = 1.0) -> None:
    """Draw the weights of convolutions from N(0, 0.02), batch norm's scale from N(bn_mean, 0.02).

    Radford et al. 2016, section 4. Batch norm's shift is set to 0. Linear layers and the biases
    of convolutions are left unchanged.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, bn_mean, 0.02)
            nn.init.zeros_(layer.bias)


def initialise_glorot(network: nn.Module) -> None:
    """Draw the weights from U(-a, a), a^2 = 6 / (inputs + outputs); set biases to 0.

    Glorot and Bengio 2010, equation 16: the default of TensorFlow's layers.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
