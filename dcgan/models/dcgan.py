"""The family `dcgan`: the networks of Radford et al., Unsupervised Representation Learning
with Deep Convolutional Generative Adversarial Networks (ICLR 2016), section 3 and figure 1.

Feature maps of 4x4 (7x7 for 28x28 images) double in size until they have the size of the image;
each doubling is one strided layer that also halves the number of channels.
"""

from __future__ import annotations

from torch import nn

from dcgan.config.schema import Dataset, Network


def build_generator(dataset: Dataset, network: Network) -> nn.Sequential:
    """G: latents (N, latent_size, 1, 1) to images (N, channels, H, W) in [-1, 1].

    `network.generator_features` is the number of channels of its last hidden layer.
    """
    base, doublings = _base_and_doublings(dataset.image_size)
    channels = network.generator_features * 2 ** (doublings - 1)
    layers = [
        nn.ConvTranspose2d(network.latent_size, channels, base, stride=1, padding=0, bias=False),
        nn.BatchNorm2d(channels, network.batch_norm_epsilon, network.batch_norm_momentum),
        nn.ReLU(inplace=True),
    ]
    for _ in range(doublings - 1):
        layers += [
            nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels // 2, network.batch_norm_epsilon, network.batch_norm_momentum),
            nn.ReLU(inplace=True),
        ]
        channels //= 2
    layers += [
        nn.ConvTranspose2d(channels, dataset.channels, 4, stride=2, padding=1, bias=False),
        nn.Tanh(),
    ]
    return nn.Sequential(*layers)


def build_discriminator(dataset: Dataset, network: Network, outputs: int) -> nn.Sequential:
    """D: images (N, channels, H, W) to logits.

    Args:
        dataset: Gives the size and the channels of the images.
        network: Of which `discriminator_features` is the number of channels after the first
            layer, and `discriminator_batch_norm` and `discriminator_head` apply.
        outputs: Logits per image and position.

    Returns:
        A network whose logits are (N, outputs, 1, 1), or (N, outputs, 2, 2) with the head `2x2`.
    """
    base, doublings = _base_and_doublings(dataset.image_size)
    in_channels: int = dataset.channels
    out_channels = network.discriminator_features
    layers: list[nn.Module] = []
    for index in range(doublings):
        layers.append(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False))
        if network.discriminator_batch_norm == "all" or (
            network.discriminator_batch_norm == "all_but_first" and index > 0
        ):
            layers.append(
                nn.BatchNorm2d(
                    out_channels, network.batch_norm_epsilon, network.batch_norm_momentum
                )
            )
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        in_channels, out_channels = out_channels, out_channels * 2
    if network.discriminator_head == "1x1":
        layers.append(nn.Conv2d(in_channels, outputs, base, stride=1, padding=0, bias=False))
    else:
        layers.append(nn.Conv2d(in_channels, outputs, 4, stride=2, padding=1, bias=False))
    return nn.Sequential(*layers)


def _base_and_doublings(image_size: int) -> tuple[int, int]:
    """The two numbers for which image_size = base * 2 ** doublings, base 7 or 4."""
    base = 7 if image_size % 7 == 0 else 4
    return base, (image_size // base).bit_length() - 1
