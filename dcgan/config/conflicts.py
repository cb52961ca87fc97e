"""Settings that are each valid but contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, LiteralString

from dcgan.config.image_size import MNIST, halved_sides

if TYPE_CHECKING:
    from dcgan.config.schema import Config


def conflicts(config: Config) -> Iterator[tuple[bool, LiteralString]]:
    """Settings that are valid alone but not together: whether they are set, and the message."""
    network, loss, stabilisers = config.network, config.loss, config.stabilisers
    is_28x28 = config.dataset.image_size == MNIST
    yield (
        network.family == "compact" and not is_28x28,
        'network.family = "compact" works only at 28x28: set dataset.image_size = 28',
    )
    yield (
        network.discriminator_head == "2x2"
        and (
            network.family != "dcgan"
            or not all(side in (4, 5) for side in halved_sides(config.dataset.image_size)[-1])
        ),
        'network.discriminator_head = "2x2" needs network.family = "dcgan" and sides that are '
        "halved to 4 or 5 pixels, such as 32, 64, 80, 128, 160, 256 or 512",
    )
    yield (
        loss.traits.gradient_penalty and network.family == "dense",
        'loss.name = "wgan_gp" needs a D without batch norm (Gulrajani et al. 2017, section 4), '
        'but that of the family "dense" has it: set network.family = "dcgan" or "compact"',
    )
    yield (
        loss.traits.gradient_penalty
        and network.family == "dcgan"
        and network.discriminator_batch_norm != "none",
        'loss.name = "wgan_gp" needs a D without batch norm (Gulrajani et al. 2017, section 4): '
        'set network.discriminator_batch_norm = "none"',
    )
    yield (
        loss.traits.gradient_penalty and config.training.discriminator_step == "two",
        'loss.name = "wgan_gp" needs real images and fakes in one update of D: '
        'set training.discriminator_step = "joint" or "accumulated"',
    )
    yield (
        config.training.generator_steps > 1 and config.training.generator_fakes == "reused",
        "training.generator_steps above 1 needs fakes from the updated G: "
        'set training.generator_fakes = "regenerated" or "fresh"',
    )
    yield (
        stabilisers.label_smoothing > 0 and not loss.traits.uses_labels,
        "stabilisers.label_smoothing needs a loss with labels: bce, softmax or least_squares",
    )
    yield (
        config.images.weights == "ema" and stabilisers.generator_ema == 0,
        'images.weights = "ema" needs stabilisers.generator_ema, such as 0.999',
    )
    yield (
        config.images.count == 1 and config.images.mode == "train" and normalises_pixels(config),
        'images.count = 1 with images.mode = "train" gives G\'s batch norm one value per channel, '
        'which it cannot normalise: set images.count to 2 or more, or images.mode = "eval"',
    )


def normalises_pixels(config: Config) -> bool:
    """Whether batch norm has one value of each image in a channel, so that it needs two images."""
    family = config.network.family
    # The family `kim` halves images four times.
    return family == "dense" or (family == "kim" and config.dataset.sides == (16, 16))
