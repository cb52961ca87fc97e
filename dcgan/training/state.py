"""Everything that changes during a training, which is what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dcgan.config.schema import Config
from dcgan.models import build_networks
from dcgan.models.ema import moving_average
from dcgan.training.checkpoint import CheckpointState
from dcgan.training.distributed import World
from dcgan.training.sync_batch_norm import synchronise_batch_norm


@dataclass(frozen=True)
class Seeds:
    """One seed per purpose, so that drawing more for one never shifts another.

    Attributes:
        weights: Initial weights of both networks.
        data_order: Order of the images in each epoch.
        latents: Latents of the training steps.
        fixed_noise: Latents of the image grids.
        perturbations: Augmentations, instance noise, flipped targets and the gradient penalty.
    """

    weights: int
    data_order: int
    latents: int
    fixed_noise: int
    perturbations: int


@dataclass
class TrainingState:
    """The networks, their optimizers, the random generators, and how far the training is.

    Attributes:
        generator, discriminator: On the training device, in channels-last format.
        generator_optimizer, discriminator_optimizer: Adam of either network.
        average: The exponential moving average of G; None if the recipe asks for none.
        latents: Draws the latents of both networks' steps.
        perturbations: Draws for `stabilisers` and for the gradient penalty.
        epoch: The current epoch, from 1.
        batch: Finished steps of this epoch.
        step: Finished steps in all.
        epoch_sums: Sums of this epoch's metrics so far, float64 (metrics,); None before the first.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    latents: torch.Generator
    perturbations: torch.Generator
    epoch: int = 1
    batch: int = 0
    step: int = 0
    epoch_sums: Tensor | None = None

    def to_checkpoint(self) -> CheckpointState:
        """The whole state as nested dictionaries of tensors and plain values."""
        modules = {name: getattr(self, name) for name in _MODULES}
        return {
            **{name: part.state_dict() for name, part in modules.items() if part is not None},
            **{name: getattr(self, name).get_state() for name in _RANDOM_GENERATORS},
            **{name: getattr(self, name) for name in _COUNTERS},
        }

    def restore(self, checkpoint: CheckpointState) -> None:
        """Load what `to_checkpoint` returned for the same configuration."""
        for name in _MODULES:
            if getattr(self, name) is not None:
                getattr(self, name).load_state_dict(checkpoint[name])
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            _lay_out_as_weights(optimizer)
        for name in _RANDOM_GENERATORS:
            getattr(self, name).set_state(checkpoint[name].cpu())
        for name in _COUNTERS:
            setattr(self, name, checkpoint[name])


_MODULES = (
    "generator",
    "discriminator",
    "generator_optimizer",
    "discriminator_optimizer",
    "average",
)
_RANDOM_GENERATORS = ("latents", "perturbations")
_COUNTERS = ("epoch", "batch", "step", "epoch_sums")


def derive_seeds(seed: int) -> Seeds:
    """Independent seeds from the recipe's seed, by NumPy's SeedSequence."""
    return Seeds(*(int(each) for each in np.random.SeedSequence(seed).generate_state(5, np.uint64)))


def initial_state(
    config: Config, seeds: Seeds, device: torch.device, world: World
) -> TrainingState:
    """The state before the first step.

    Args:
        config: The recipe.
        seeds: Of the weights and of the random generators.
        device: Where the networks are created.
        world: The processes that train together; batch norm may be synchronised over them.
    """
    generator, discriminator = (
        network.to(device).to(memory_format=torch.channels_last)
        for network in build_networks(config, seeds.weights)
    )
    if world.size > 1 and config.training.synchronised_batch_norm:
        generator, discriminator = (
            synchronise_batch_norm(network, device) for network in (generator, discriminator)
        )

    def adam(network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(),
            lr=config.optimizer.lr,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
            fused=True,
        )

    return TrainingState(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=adam(generator),
        discriminator_optimizer=adam(discriminator),
        average=moving_average(generator, config.stabilisers.generator_ema),
        latents=torch.Generator(device).manual_seed(seeds.latents),
        perturbations=torch.Generator(device).manual_seed(seeds.perturbations),
    )


def _lay_out_as_weights(optimizer: torch.optim.Optimizer) -> None:
    """Give loaded moments the memory format of their weights, as fused Adam expects."""
    for weights, moments in optimizer.state.items():
        for name, moment in moments.items():
            if moment.shape == weights.shape:
                moments[name] = torch.empty_like(weights).copy_(moment)
