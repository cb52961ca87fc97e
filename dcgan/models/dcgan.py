"""The family `dcgan`: the networks of Radford et al., Unsupervised Representation Learning
with Deep Convolutional Generative Adversarial Networks (ICLR 2016), section 3 and figure 1.

Feature maps of 4x4 pixels (3 to 7 where the image is no power of two) double in size until they
have the size of the image; each doubling is one strided layer that also halves the number of
channels, of which there are never more than 16 times those of the layer next to the image.
"""

from __future__ import annotations

from torch import nn

from dcgan.config.dataset import Dataset
from dcgan.config.image_size import halved_sides
from dcgan.config.schema import Network

_MAX_CHANNELS = 16
"""The most channels, in multiples of the layer next to the image: five layers, for 128 pixels."""


def build_generator(dataset: Dataset, network: Network) -> nn.Sequential:
    """G: latents (N, latent_size, 1, 1) to images (N, channels, H, W) in [-1, 1].

    `network.generator_features` is the number of channels of its last hidden layer.
    """
    sides = halved_sides(dataset.image_size)[::-1]
    widths = _widths(network.generator_features, len(sides) - 1)[::-1]
    channels = widths[0]
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(network.latent_size, channels, sides[0], bias=False),
        nn.BatchNorm2d(channels, network.batch_norm_epsilon, network.batch_norm_momentum),
        nn.ReLU(inplace=True),
    ]
    for width, smaller, larger in zip(widths[1:], sides, sides[1:], strict=False):
        layers += [
            _doubling(channels, width, smaller, larger),
            nn.BatchNorm2d(width, network.batch_norm_epsilon, network.batch_norm_momentum),
            nn.ReLU(inplace=True),
        ]
        channels = width
    layers += [_doubling(channels, dataset.channels, *sides[-2:]), nn.Tanh()]
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
    sides = halved_sides(dataset.image_size)
    in_channels: int = dataset.channels
    layers: list[nn.Module] = []
    for index, out_channels in enumerate(_widths(network.discriminator_features, len(sides) - 1)):
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
        in_channels = out_channels
    if network.discriminator_head == "1x1":
        layers.append(nn.Conv2d(in_channels, outputs, sides[-1], bias=False))
    else:
        layers.append(nn.Conv2d(in_channels, outputs, 4, stride=2, padding=1, bias=False))
    return nn.Sequential(*layers)


def _widths(features: int, doublings: int) -> list[int]:
    """Channels of the hidden layers, from the image inwards."""
    return [features * min(2**layer, _MAX_CHANNELS) for layer in range(doublings)]


def _doubling(
    in_channels: int, out_channels: int, smaller: tuple[int, int], larger: tuple[int, int]
) -> nn.Module:
    """From maps of one height and width to those of the next; odd ones take one row more."""
    odd = (larger[0] - 2 * smaller[0], larger[1] - 2 * smaller[1])
    return nn.ConvTranspose2d(
        in_channels, out_channels, 4, stride=2, padding=1, output_padding=odd, bias=False
    )
