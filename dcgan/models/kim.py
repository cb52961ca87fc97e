"""The family `kim`: DCGAN-tensorflow (Kim 2015), which others use when they benchmark DCGAN.

5x5 filters of stride 2, padded like TensorFlow's `same`; sizes halve, rounded up, down to 2x2
for a 28x28 image. Layers that batch norm follows have no bias, because it would cancel.
"""

from __future__ import annotations

from torch import nn

from dcgan.config.dataset import Dataset
from dcgan.config.schema import Network

_LAYERS = 4


def build_generator(dataset: Dataset, network: Network) -> nn.Sequential:
    """G: latents (N, latent_size, 1, 1) to images (N, channels, H, W) in [-1, 1].

    `network.generator_features` is the number of channels of its last hidden layer.
    """
    sizes = _layer_sizes(dataset.sides)
    channels = network.generator_features * 2 ** (_LAYERS - 1)
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(network.latent_size, channels, sizes[-1], bias=False),
        nn.BatchNorm2d(channels, network.batch_norm_epsilon, network.batch_norm_momentum),
        nn.ReLU(inplace=True),
    ]
    for size in sizes[-2:0:-1]:
        layers += [
            *_upsampling(channels, channels // 2, size, bias=False),
            nn.BatchNorm2d(channels // 2, network.batch_norm_epsilon, network.batch_norm_momentum),
            nn.ReLU(inplace=True),
        ]
        channels //= 2
    return nn.Sequential(
        *layers, *_upsampling(channels, dataset.channels, sizes[0], bias=True), nn.Tanh()
    )


def build_discriminator(dataset: Dataset, network: Network, outputs: int) -> nn.Sequential:
    """D: images (N, channels, H, W) to logits; batch norm after every hidden layer but the first.

    Args:
        dataset: Gives the size and the channels of the images.
        network: Of which `discriminator_features` is the number of channels after the first
            layer.
        outputs: Logits per image.

    Returns:
        A network whose logits are (N, outputs, 1, 1).
    """
    sizes = _layer_sizes(dataset.sides)
    layers: list[nn.Module] = []
    in_channels: int = dataset.channels
    out_channels = network.discriminator_features
    for index, size in enumerate(sizes[:-1]):
        # `same` puts the odd row and column of padding after the image.
        above, left = (2 if side % 2 else 1 for side in size)
        layers += [
            nn.ZeroPad2d((left, 2, above, 2)),
            nn.Conv2d(in_channels, out_channels, 5, stride=2, bias=index == 0),
        ]
        if index > 0:
            layers.append(
                nn.BatchNorm2d(
                    out_channels, network.batch_norm_epsilon, network.batch_norm_momentum
                )
            )
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        in_channels, out_channels = out_channels, out_channels * 2
    layers.append(nn.Conv2d(in_channels, outputs, sizes[-1]))
    return nn.Sequential(*layers)


def _layer_sizes(sides: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of the image and of each layer's maps, such as 28, 14, 7, 4, 2."""
    sizes = [sides]
    for _ in range(_LAYERS):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def _upsampling(
    in_channels: int, out_channels: int, size: tuple[int, int], *, bias: bool
) -> list[nn.Module]:
    """Layers that take maps of half of `size`, rounded up, to maps of `size`."""
    odd = [side % 2 for side in size]
    padding = (1 + odd[0], 1 + odd[1])
    layer = nn.ConvTranspose2d(in_channels, out_channels, 5, stride=2, padding=padding, bias=bias)
    if all(odd):
        return [layer]
    # Cuts the row and the column that `same` does not have.
    return [layer, nn.ZeroPad2d((0, odd[1] - 1, 0, odd[0] - 1))]
