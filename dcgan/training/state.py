"""All that changes while a run lasts: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dcgan.config.schema import Config
from dcgan.models import build_networks
from dcgan.models.ema import moving_average
from dcgan.training.checkpoint import State
from dcgan.training.distributed import World
from dcgan.training.sync_batch_norm import synchronise_batch_norm


@dataclass(frozen=True)
class Seeds:
    """One seed a purpose, so that what one consumes never shifts another."""

    weights: int
    data_order: int
    latents: int
    fixed_noise: int
    perturbations: int


@dataclass
class Training:
    """All that changes while a run lasts; what a checkpoint holds.

    average: the exponential moving average of G, where the recipe asks for one.
    perturbations: the source of all that `stabilisers` and the gradient penalty draw.
    epoch: from 1. batch: steps of this epoch that are done. step: steps done in all.
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


def _seeds(seed: int) -> Seeds:
    return Seeds(*(int(each) for each in np.random.SeedSequence(seed).generate_state(5, np.uint64)))


def _begin(config: Config, seeds: Seeds, device: torch.device, world: World) -> Training:
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

    return Training(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=adam(generator),
        discriminator_optimizer=adam(discriminator),
        average=moving_average(generator, config.stabilisers.generator_ema),
        latents=torch.Generator(device).manual_seed(seeds.latents),
        perturbations=torch.Generator(device).manual_seed(seeds.perturbations),
    )


_STATEFUL = (
    "generator",
    "discriminator",
    "generator_optimizer",
    "discriminator_optimizer",
    "average",
)


_SOURCES = ("latents", "perturbations")


_COUNTERS = ("epoch", "batch", "step", "epoch_sums")


def _state(run: Training) -> State:
    parts = {name: getattr(run, name) for name in _STATEFUL}
    return {
        **{name: part.state_dict() for name, part in parts.items() if part is not None},
        **{name: getattr(run, name).get_state() for name in _SOURCES},
        **{name: getattr(run, name) for name in _COUNTERS},
    }


def _restore(run: Training, state: State) -> None:
    for name in _STATEFUL:
        if getattr(run, name) is not None:
            getattr(run, name).load_state_dict(state[name])
    for optimizer in (run.generator_optimizer, run.discriminator_optimizer):
        _lay_out_as_weights(optimizer)
    for name in _SOURCES:
        getattr(run, name).set_state(state[name].cpu())
    for name in _COUNTERS:
        setattr(run, name, state[name])


def _lay_out_as_weights(optimizer: torch.optim.Optimizer) -> None:
    """Give loaded moments the memory format of their weights, in which fused Adam reads both."""
    for weights, moments in optimizer.state.items():
        for name, moment in moments.items():
            if moment.shape == weights.shape:
                moments[name] = torch.empty_like(weights).copy_(moment)
