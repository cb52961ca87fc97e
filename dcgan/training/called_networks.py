"""The networks as a training step calls them: by the fastest layers, compiled, in a precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from dcgan.config.schema import Config
from dcgan.cpu.fast_convolutions import with_fast_convolutions
from dcgan.cuda.fast_layers import FastLayers
from dcgan.training.compiled import CompiledForFullBatches
from dcgan.training.distributed import World
from dcgan.training.precision import forward_in_precision

Network: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class CalledNetworks:
    """Functions that call G and D, all with the weights of the two networks.

    Attributes:
        generator: Latents to images.
        discriminator: Images to logits.
        discriminator_of_both: Real images, then as many fakes, to the logits of both.
        discriminator_no_ddp: As `discriminator`, for G's step: it needs no gradients of D, for
            whose average DistributedDataParallel's wrapper would wait.
        discriminator_ddp: The module in `discriminator`, wrapped if several processes train.
        norms_apart: Whether batch norm in `discriminator_of_both` sees real images and fakes
            apart, each as a batch of its own.
    """

    generator: Network
    discriminator: Network
    discriminator_of_both: Network
    discriminator_no_ddp: Network
    discriminator_ddp: nn.Module
    norms_apart: bool


def called_networks(
    generator: nn.Module,
    discriminator: nn.Module,
    config: Config,
    device: torch.device,
    world: World,
) -> CalledNetworks:
    """Prepare both networks for a training; grids and checkpoints use the networks themselves.

    Args:
        generator: G.
        discriminator: D.
        config: The recipe.
        device: Where the networks are.
        world: The processes that train together.
    """
    fast_layers = has_fast_layers(device)
    if fast_layers:
        generator, discriminator = FastLayers(generator), FastLayers(discriminator)
    if config.training.compile:
        full = world.images_of(config.training.batch_size)
        generator = CompiledForFullBatches(generator, full)
        discriminator = CompiledForFullBatches(discriminator, full)
    generator_ddp, discriminator_ddp = world.wrap_ddp(generator), world.wrap_ddp(discriminator)
    # Not compiled, what one pass saves is lost in joining its parts again.
    norms_apart = fast_layers and config.training.compile
    of_both = partial(discriminator_ddp, parts=2) if config.training.compile else discriminator_ddp
    return CalledNetworks(
        generator=_in_precision(generator_ddp, config, device),
        discriminator=_in_precision(discriminator_ddp, config, device),
        discriminator_of_both=_in_precision(of_both, config, device),
        discriminator_no_ddp=_in_precision(discriminator, config, device),
        discriminator_ddp=discriminator_ddp,
        norms_apart=norms_apart,
    )


def has_fast_layers(device: torch.device) -> bool:
    """Whether networks are trained by `FastLayers` on this device."""
    return device.type == "cuda"


def _in_precision(network: Network, config: Config, device: torch.device) -> Network:
    """The network in the recipe's precision, on the CPU by its own fast convolutions.

    With torch.compile these are left out, because it cannot compile them.
    """
    if device.type == "cpu" and not config.training.compile:
        network = partial(with_fast_convolutions, network)
    return partial(forward_in_precision, network, precision=config.training.precision)
