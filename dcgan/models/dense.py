"""The family `dense`: fully connected layers where Radford et al. have none.

The sizes are those of the recipe `mnist-softmax`. Its source pads like TensorFlow's `same`:
a kernel of 5 with stride 2 gets one row before the image and two after it, which PyTorch's
symmetric padding cannot express.
"""

from __future__ import annotations

from torch import nn

from dcgan.config.dataset import Dataset
from dcgan.config.schema import Network


def build_generator(dataset: Dataset, network: Network) -> nn.Sequential:
    """G: latents (N, latent_size, 1, 1) to images (N, channels, H, W) in [-1, 1]."""
    epsilon, momentum = network.batch_norm_epsilon, network.batch_norm_momentum
    quarter = [side // 4 for side in dataset.sides]
    area = quarter[0] * quarter[1]
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(network.latent_size, 128 * area),
        nn.BatchNorm1d(128 * area, epsilon, momentum),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (128, *quarter)),
        nn.ConvTranspose2d(128, 64, 5, stride=2, padding=1),
        nn.ZeroPad2d((0, -1, 0, -1)),  # cuts the row and the column that `same` does not have
        nn.BatchNorm2d(64, epsilon, momentum),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(64, dataset.channels, 5, stride=2, padding=1),
        nn.ZeroPad2d((0, -1, 0, -1)),
        nn.Tanh(),
    )


def build_discriminator(dataset: Dataset, network: Network, outputs: int) -> nn.Sequential:
    """D: images (N, channels, H, W) to logits.

    Args:
        dataset: Gives the size and the channels of the images.
        network: Of which the parameters of batch norm apply.
        outputs: Logits per image.

    Returns:
        A network whose logits are (N, outputs).
    """
    epsilon, momentum = network.batch_norm_epsilon, network.batch_norm_momentum
    quarter = [side // 4 for side in dataset.sides]
    area = quarter[0] * quarter[1]
    return nn.Sequential(
        nn.ZeroPad2d((1, 2, 1, 2)),
        nn.Conv2d(dataset.channels, 64, 5, stride=2),
        nn.BatchNorm2d(64, epsilon, momentum),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(64, 128, 10, stride=2, padding=4),
        nn.BatchNorm2d(128, epsilon, momentum),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(),
        nn.Linear(128 * area, 1024),
        nn.BatchNorm1d(1024, epsilon, momentum),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(1024, outputs),
    )
