"""The two networks of a run: their architectures and their initial weights.

G maps latents (N, latent_size, 1, 1) to images (N, channels, H, W) in [-1, 1]. D maps images
to logits (N, outputs, ...): one output for most losses, two (fake, real) for `softmax`; if
more dimensions follow, the loss averages over them.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from dcgan.config.schema import Config, Init
from dcgan.models import compact, dcgan, dense, kim
from dcgan.models.weight_init import initialise_dcgan, initialise_glorot

FAMILIES = {"dcgan": dcgan, "compact": compact, "dense": dense, "kim": kim}


def build_networks(config: Config, seed: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Build G and D on the CPU, with weights drawn as `config.init` says.

    All randomness comes from `seed`; PyTorch's global random state is left unchanged.
    """
    family = FAMILIES[config.network.family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = family.build_generator(config.dataset, config.network)
        discriminator = family.build_discriminator(
            config.dataset, config.network, config.loss.traits.outputs
        )
        for network in (generator, discriminator):
            if network is generator or config.init.init_discriminator:
                _initialise(network, config.init)
        if config.stabilisers.spectral_norm:
            for layer in discriminator:
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    spectral_norm(layer)
    return generator, discriminator


def _initialise(network: nn.Module, init: Init) -> None:
    match init.scheme:
        case "dcgan":
            initialise_dcgan(network, init.bn_mean)
        case "glorot":
            initialise_glorot(network)
        case "default":
            pass  # PyTorch's layers drew their weights when they were built
