"""The family `dcgan`: the networks of Radford et al., Unsupervised Representation Learning
with Deep Convolutional Generative Adversarial Networks (ICLR 2016), section 3 and figure 1.

Maps of 4x4 (of 7x7 for images of 28 pixels) double until they have the size of the image;
each doubling is a strided layer, and halves the number of maps.
"""

from __future__ import annotations

from torch import nn

from dcgan.config.schema import Dataset, Network


def build_generator(dataset: Dataset, network: Network) -> nn.Sequential:
    """generator_features is the number of maps of the last hidden layer."""
    base, doublings = _base_and_doublings(dataset.image_size)
    width = network.generator_features * 2 ** (doublings - 1)
    layers = [
        nn.ConvTranspose2d(network.latent_size, width, base, stride=1, padding=0, bias=False),
        nn.BatchNorm2d(width, network.batch_norm_epsilon, network.batch_norm_momentum),
        nn.ReLU(inplace=True),
    ]
    for _ in range(doublings - 1):
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width // 2, network.batch_norm_epsilon, network.batch_norm_momentum),
            nn.ReLU(inplace=True),
        ]
        width //= 2
    layers += [
        nn.ConvTranspose2d(width, dataset.channels, 4, stride=2, padding=1, bias=False),
        nn.Tanh(),
    ]
    return nn.Sequential(*layers)


def build_discriminator(dataset: Dataset, network: Network, outputs: int) -> nn.Sequential:
    """discriminator_features is the number of maps of the first layer.

    The logits are (N, outputs, 1, 1), or (N, outputs, 2, 2) with the head `2x2`.
    """
    base, doublings = _base_and_doublings(dataset.image_size)
    depth: int = dataset.channels
    width = network.discriminator_features
    layers: list[nn.Module] = []
    for number in range(doublings):
        layers.append(nn.Conv2d(depth, width, 4, stride=2, padding=1, bias=False))
        if network.discriminator_batch_norm == "all" or (
            network.discriminator_batch_norm == "all_but_first" and number > 0
        ):
            layers.append(
                nn.BatchNorm2d(width, network.batch_norm_epsilon, network.batch_norm_momentum)
            )
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        depth, width = width, width * 2
    if network.discriminator_head == "1x1":
        layers.append(nn.Conv2d(depth, outputs, base, stride=1, padding=0, bias=False))
    else:
        layers.append(nn.Conv2d(depth, outputs, 4, stride=2, padding=1, bias=False))
    return nn.Sequential(*layers)


def _base_and_doublings(image_size: int) -> tuple[int, int]:
    """image_size = base * 2 ** doublings."""
    base = 7 if image_size % 7 == 0 else 4
    return base, (image_size // base).bit_length() - 1
