"""The family `kim`: DCGAN-tensorflow (Kim 2015), on which others measured what DCGAN does.

5x5 filters and stride 2, padded as TensorFlow's `same` does; sizes halve, rounded up, down to 2x2
for an image of 28 pixels. Layers that batch norm follows have no bias, for it would cancel.
"""

from __future__ import annotations

from torch import nn

from dcgan.config.schema import Dataset, Network

_LAYERS = 4


def build_generator(dataset: Dataset, network: Network) -> nn.Sequential:
    """generator_features is the number of maps of the last hidden layer."""
    sizes = _sizes(dataset.image_size)
    width = network.generator_features * 2 ** (_LAYERS - 1)
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(network.latent_size, width, sizes[-1], bias=False),
        nn.BatchNorm2d(width, network.batch_norm_epsilon, network.batch_norm_momentum),
        nn.ReLU(inplace=True),
    ]
    for size in sizes[-2:0:-1]:
        layers += [
            *_doubled(width, width // 2, size, bias=False),
            nn.BatchNorm2d(width // 2, network.batch_norm_epsilon, network.batch_norm_momentum),
            nn.ReLU(inplace=True),
        ]
        width //= 2
    return nn.Sequential(
        *layers, *_doubled(width, dataset.channels, sizes[0], bias=True), nn.Tanh()
    )


def build_discriminator(dataset: Dataset, network: Network, outputs: int) -> nn.Sequential:
    """discriminator_features is the number of maps of the first layer; batch norm but there."""
    sizes = _sizes(dataset.image_size)
    layers: list[nn.Module] = []
    depth: int = dataset.channels
    width = network.discriminator_features
    for number, size in enumerate(sizes[:-1]):
        before = 2 if size % 2 else 1
        layers += [
            nn.ZeroPad2d((before, 2, before, 2)),
            nn.Conv2d(depth, width, 5, stride=2, bias=number == 0),
        ]
        if number > 0:
            layers.append(
                nn.BatchNorm2d(width, network.batch_norm_epsilon, network.batch_norm_momentum)
            )
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        depth, width = width, width * 2
    layers.append(nn.Conv2d(depth, outputs, sizes[-1]))
    return nn.Sequential(*layers)


def _sizes(image_size: int) -> list[int]:
    """Of the image and of each layer's maps, such as 28, 14, 7, 4, 2."""
    sizes = [image_size]
    for _ in range(_LAYERS):
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def _doubled(depth: int, width: int, size: int, *, bias: bool) -> list[nn.Module]:
    """Maps of half the size, rounded up, to maps of `size`."""
    if size % 2:
        return [nn.ConvTranspose2d(depth, width, 5, stride=2, padding=2, bias=bias)]
    return [
        nn.ConvTranspose2d(depth, width, 5, stride=2, padding=1, bias=bias),
        nn.ZeroPad2d((0, -1, 0, -1)),  # cuts the row and the column that `same` does not have
    ]
