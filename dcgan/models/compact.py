"""The family `compact`: a small pair for 28x28 images.

G has ReLU before batch norm; D has no batch norm at all and ends in fully connected layers.
The sizes are those of the recipe `mnist-ablation`.
"""

from __future__ import annotations

from torch import nn

from dcgan.config.dataset import Dataset
from dcgan.config.schema import Network


def build_generator(dataset: Dataset, network: Network) -> nn.Sequential:
    """G: latents (N, latent_size, 1, 1) to images (N, channels, 28, 28) in [-1, 1]."""
    epsilon, momentum = network.batch_norm_epsilon, network.batch_norm_momentum
    return nn.Sequential(
        nn.ConvTranspose2d(network.latent_size, 128, 4, stride=2, padding=0, bias=False),  # 4x4
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(128, epsilon, momentum),
        nn.ConvTranspose2d(128, 64, 3, stride=2, padding=1, bias=False),  # 7x7
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(64, epsilon, momentum),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False),  # 14x14
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(32, epsilon, momentum),
        nn.ConvTranspose2d(32, dataset.channels, 4, stride=2, padding=1),  # 28x28
        nn.Tanh(),
    )


def build_discriminator(dataset: Dataset, network: Network, outputs: int) -> nn.Sequential:
    """D: images (N, channels, 28, 28) to logits.

    Args:
        dataset: Gives the channels of the images.
        network: Not used; every family has the same signature.
        outputs: Logits per image.

    Returns:
        A network whose logits are (N, outputs).
    """
    return nn.Sequential(
        nn.Conv2d(dataset.channels, 32, 4, stride=2, padding=1),  # 14x14
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),  # 7x7
        nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 512),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(512, outputs),
    )
