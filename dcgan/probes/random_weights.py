"""The control of the probes of D: the same network, untrained."""

from __future__ import annotations

from torch import nn

from dcgan.config.schema import Config
from dcgan.models import build_networks


def untrained_discriminator(config: Config) -> nn.Sequential:
    """D with random weights other than those that the training started from."""
    _, discriminator = build_networks(config, config.seed + 1)
    return discriminator
