"""The networks of Radford et al., Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks (ICLR 2016), section 3 and figure 1.

Both are plain `nn.Sequential`s. An image of 4 * 2^n pixels takes n strided layers
beside the one between the latent vector (or the logit) and the 4x4 maps.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from dcgan.config import Config


def build_generator(
    image_size: int, channels: int, latent_size: int, features: int
) -> nn.Sequential:
    """G: latent vectors (N, latent_size, 1, 1) to images (N, channels, H, W) in [-1, 1].

    features: the maps of the last hidden layer; each earlier layer has twice as many.
    """
    doublings = _doublings(image_size)
    width = features * 2 ** (doublings - 1)
    layers = [
        nn.ConvTranspose2d(latent_size, width, kernel_size=4, stride=1, padding=0, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    for _ in range(doublings - 1):
        layers += [
            nn.ConvTranspose2d(width, width // 2, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(inplace=True),
        ]
        width //= 2
    layers += [
        nn.ConvTranspose2d(width, channels, kernel_size=4, stride=2, padding=1, bias=False),
        nn.Tanh(),
    ]
    return nn.Sequential(*layers)


def build_discriminator(image_size: int, channels: int, features: int) -> nn.Sequential:
    """D: images (N, channels, H, W) in [-1, 1] to logits (N,).

    features: the maps of the first layer, which has no batch norm; each later layer has
    twice as many. The sigmoid is part of the loss, where it is numerically safe.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(channels, features, kernel_size=4, stride=2, padding=1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    width = features
    for _ in range(_doublings(image_size) - 1):
        layers += [
            nn.Conv2d(width, width * 2, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width *= 2
    layers += [
        nn.Conv2d(width, 1, kernel_size=4, stride=1, padding=0, bias=False),
        nn.Flatten(start_dim=0),
    ]
    return nn.Sequential(*layers)


def build_networks(config: Config, seed: int) -> tuple[nn.Sequential, nn.Sequential]:
    """G and D on the CPU with their weights as `config.init` says.

    All randomness comes from `seed`; the global generator is left as it was.
    """
    dataset, network = config.dataset, config.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = build_generator(
            dataset.image_size, dataset.channels, network.latent_size, network.generator_features
        )
        discriminator = build_discriminator(
            dataset.image_size, dataset.channels, network.discriminator_features
        )
        if config.init.scheme == "dcgan":
            generator.apply(initialize_dcgan)
            discriminator.apply(initialize_dcgan)
    return generator, discriminator


def initialize_dcgan(layer: nn.Module) -> None:
    """Weights from N(0, 0.02) (section 4); batch norm's scale from N(1, 0.02), its shift 0."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


def _doublings(image_size: int) -> int:
    """How often 4x4 maps double to reach `image_size`."""
    doublings = math.log2(image_size / 4)
    if doublings != int(doublings) or doublings < 1:
        raise ValueError(f"image_size must be 8, 16, 32, 64, ...; got {image_size}")
    return int(doublings)
