"""The state of a training, which is what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dcgan.config.schema import Config
from dcgan.models import build_networks
from dcgan.models.ema import moving_average
from dcgan.training.adam import make_adam
from dcgan.training.checkpoint import CheckpointState, restoring
from dcgan.training.distributed import SINGLE_PROCESS, World
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
        generator, discriminator: On the training device, in channels-last memory.
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

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take the weights of `generator`, `discriminator` or both, and nothing else."""
        for name, weights in networks.items():
            # Batch norm's count of batches is not used, and may be missing.
            getattr(self, name).load_state_dict(weights, strict=False)
        if self.average is not None:
            self.average.module.load_state_dict(self.generator.state_dict())

    def restore(self, checkpoint: CheckpointState, seeds: Seeds) -> None:
        """Load the result of `to_checkpoint` for the same configuration.

        Args:
            checkpoint: The state, on the CPU.
            seeds: Of the run. Random generators of another kind of device cannot load the saved
                states, and restart from seed and step. See `has_random_state_of`.
        """
        for name in _MODULES:
            part = getattr(self, name)
            if isinstance(part, torch.optim.Optimizer):
                _load_optimizer(part, checkpoint[name])
            elif part is not None:
                part.load_state_dict(checkpoint[name])
        for name in _COUNTERS:
            setattr(self, name, checkpoint[name])
        for name in _RANDOM_GENERATORS:
            rng = getattr(self, name)
            if has_random_state_of(checkpoint, rng.device):
                rng.set_state(checkpoint[name].cpu())
            else:
                rng.manual_seed((getattr(seeds, name) + self.step) % 2**64)


_MODULES = (
    "generator",
    "discriminator",
    "generator_optimizer",
    "discriminator_optimizer",
    "average",
)
_RANDOM_GENERATORS = ("latents", "perturbations")
_COUNTERS = ("epoch", "batch", "step", "epoch_sums")


def has_random_state_of(checkpoint: CheckpointState, device: torch.device) -> bool:
    """Whether the random generators of `device` can load the states in a checkpoint."""
    size = torch.Generator(device).get_state().numel()
    return all(checkpoint[name].numel() == size for name in _RANDOM_GENERATORS)


def check_restorable(checkpoint: CheckpointState, config: Config) -> None:
    """Raise CheckpointError unless a training of this configuration can continue from a state."""
    seeds = derive_seeds(config.seed)
    state = initial_state(config, seeds, torch.device("cpu"), SINGLE_PROCESS)
    with restoring(checkpoint["step"]):
        state.restore(checkpoint, seeds)


def derive_seeds(seed: int) -> Seeds:
    """Independent seeds from the recipe's seed, by NumPy's SeedSequence."""
    return Seeds(*(int(each) for each in np.random.SeedSequence(seed).generate_state(5, np.uint64)))


def initial_state(
    config: Config, seeds: Seeds, device: torch.device, world: World
) -> TrainingState:
    """The state before the first step.

    Args:
        config: The recipe.
        seeds: The seeds of the weights and of the random generators.
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

    return TrainingState(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=make_adam(generator, config.optimizer.of("generator"), device),
        discriminator_optimizer=make_adam(
            discriminator, config.optimizer.of("discriminator"), device
        ),
        average=moving_average(generator, config.stabilisers.generator_ema),
        latents=torch.Generator(device).manual_seed(seeds.latents),
        perturbations=torch.Generator(device).manual_seed(seeds.perturbations),
    )


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Load a state, except the options that depend on the device, in the layout of fused Adam.

    Moments get the memory format of their weights.
    """
    groups = [
        {**group, **{name: own[name] for name in ("fused", "foreach", "capturable")}}
        for group, own in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**saved, "param_groups": groups})
    for weights, moments in optimizer.state.items():
        for name, moment in moments.items():
            if moment.shape == weights.shape:
                moments[name] = torch.empty_like(weights).copy_(moment)
            elif moment.numel() > 1:  # PyTorch would fail at the first step
                raise ValueError(f"a moment of Adam has the shape {tuple(moment.shape)}")
