"""The step of any published recipe, written plainly: what the engine's fast step must equal.

Contiguous tensors, Adam in many small kernels, real images and fakes apart, no CUDA graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

import torch
from torch import Tensor, nn

from dcgan.config.schema import Config
from dcgan.models import build_networks
from dcgan.sampling import draw_latents
from dcgan.training.losses import LOSSES
from dcgan.training.schedule import epoch_order
from dcgan.training.state import Seeds, derive_seeds


def plain_losses(
    config: Config, pixels: Tensor, device: torch.device, steps: int
) -> list[tuple[float, float]]:
    """Train by the recipe, without stabilisers.

    Args:
        config: The recipe; `training`, `optimizer`, `loss` and `network` are followed.
        pixels: The images, uint8 (N, C, H, W).
        device: Where to train.
        steps: How many steps.

    Returns:
        The losses of G and of D in each step.
    """
    seeds = derive_seeds(config.seed)
    networks = [network.to(device) for network in build_networks(config, seeds.weights)]
    both_settings = [config.optimizer.of("generator"), config.optimizer.of("discriminator")]
    optimizers = [
        torch.optim.Adam(
            network.parameters(),
            lr=settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            foreach=False,
        )
        for network, settings in zip(networks, both_settings, strict=True)
    ]
    latents = torch.Generator(device).manual_seed(seeds.latents)
    batches = _batches(config, seeds, pixels)
    return [
        _step(config, networks, optimizers, [images.to(device) for images in group], latents)
        for group in islice(batches, steps)
    ]


def _batches(config: Config, seeds: Seeds, pixels: Tensor) -> Iterator[list[Tensor]]:
    """The images of each step, epoch after epoch."""
    for epoch in count(1):
        indices = epoch_order(len(pixels), seeds, epoch).split(config.training.batch_size)
        for start in range(0, len(indices), config.training.discriminator_batches):
            group = indices[start : start + config.training.discriminator_batches]
            yield [pixels[each] for each in group]


def _step(
    config: Config,
    networks: Sequence[nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    batches: Sequence[Tensor],
    latents: torch.Generator,
) -> tuple[float, float]:
    training, loss = config.training, LOSSES[config.loss.name]
    (generator, discriminator), (g_optimizer, d_optimizer) = networks, optimizers
    for images in batches:
        d_optimizer.zero_grad()
        real = images.to(torch.get_default_dtype()) / 127.5 - 1
        targets = torch.ones(len(real), device=real.device)
        real_loss = loss.discriminator(discriminator(real), targets)
        if training.discriminator_step != "joint":
            real_loss.backward()
        if training.discriminator_step == "two":
            d_optimizer.step()
            d_optimizer.zero_grad()
        noise = draw_latents(len(real), config.network, latents)
        fake = generator(noise)
        shown = fake.detach() if training.detach_fakes else fake
        fake_loss = loss.discriminator(discriminator(shown), torch.zeros_like(targets))
        d_loss = real_loss + fake_loss if training.discriminator_step == "joint" else fake_loss
        d_loss.backward(retain_graph=True)
        d_optimizer.step()
    for _ in range(training.generator_steps):
        g_optimizer.zero_grad()
        if training.generator_fakes == "fresh":
            noise = draw_latents(len(noise), config.network, latents)
        if training.generator_fakes != "reused":
            fake = generator(noise)
        g_loss = loss.generator(discriminator(fake))
        g_loss.backward()
        g_optimizer.step()
    return g_loss.item(), (real_loss + fake_loss).item()
