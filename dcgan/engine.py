"""The training loop: Goodfellow et al. 2014, algorithm 1, with the networks of Radford et al."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dcgan.checkpoint import State, save_checkpoint
from dcgan.config import Config
from dcgan.data import scale
from dcgan.losses import LOSSES
from dcgan.metric_buffer import MetricBuffer
from dcgan.models import build_networks
from dcgan.sampling import generate, image_grid
from tracking.events import FIXED_NOISE, REAL, Event, Image


@dataclass(frozen=True)
class Seeds:
    """One seed a purpose, so that what one consumes never shifts another."""

    weights: int
    data_order: int
    latents: int
    fixed_noise: int


@dataclass
class Training:
    """All that changes while a run lasts; what a checkpoint holds.

    epoch: from 1. batch: batches of this epoch that are done. step: batches done in all.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    latents: torch.Generator
    epoch: int = 1
    batch: int = 0
    step: int = 0
    epoch_sums: Tensor | None = None


def train(
    config: Config,
    pixels: Tensor,
    device: torch.device,
    emit: Callable[[Event], None],
    checkpoints: Path,
    resume_from: State | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Train to the end of `config`; return whether it was reached.

    pixels: uint8 (N, C, H, W). emit: takes every event of the run and must not raise.
    checkpoints: the folder in which one is written after each epoch and when stopped.
    resume_from: the state in a checkpoint of the same configuration and the same data;
        on the CPU the run then goes on bit for bit as if it had not been interrupted.
    stopping: asked after each step; True ends the training with a checkpoint.
    """
    seeds = _seeds(config.seed)
    run = _begin(config, seeds, device)
    if resume_from is not None:
        _restore(run, resume_from)
    loss = LOSSES[config.loss.name]
    pixels = pixels.to(device)
    fixed_noise = _fixed_noise(config, seeds, device)
    metrics = MetricBuffer(emit, run.epoch_sums, run.batch)
    if run.step == 0:
        emit(_picture(REAL, 0, scale(pixels[: config.images.count])))
        emit(_picture(FIXED_NOISE, 0, generate(run.generator, fixed_noise, config.images.mode)))

    while run.epoch <= config.training.epochs:
        batches = _epoch_order(len(pixels), seeds, run.epoch).split(config.training.batch_size)
        for indices in batches[run.batch :]:
            real = scale(pixels[indices.to(device)])
            noise = _noise(len(real), config, run.latents)

            # D learns to tell real images from fakes: two backward passes, one step.
            run.discriminator_optimizer.zero_grad()
            real_logits = run.discriminator(real)
            real_loss = loss.real(real_logits)
            real_loss.backward()
            fake = run.generator(noise)
            fake_logits = run.discriminator(fake.detach())
            fake_loss = loss.fake(fake_logits)
            fake_loss.backward()
            run.discriminator_optimizer.step()

            # G learns to make the new D take the same fakes for real.
            run.generator_optimizer.zero_grad()
            run.discriminator.requires_grad_(False)
            fooled_logits = run.discriminator(fake)
            generator_loss = loss.generator(fooled_logits)
            generator_loss.backward()
            run.discriminator.requires_grad_(True)
            run.generator_optimizer.step()

            run.step += 1
            run.batch += 1
            metrics.add(
                run.step,
                {
                    "Gloss": generator_loss,
                    "Dloss": (real_loss + fake_loss).detach(),
                    "D_x": real_logits.detach().sigmoid().mean(),
                    "D_G_z1": fake_logits.detach().sigmoid().mean(),
                    "D_G_z2": fooled_logits.detach().sigmoid().mean(),
                },
            )
            last = run.epoch == config.training.epochs and run.batch == len(batches)
            if last or run.step % config.images.every_steps == 0:
                metrics.flush()
                grid = generate(run.generator, fixed_noise, config.images.mode)
                emit(_picture(FIXED_NOISE, run.step, grid))
            stop = stopping()
            if stop and run.batch < len(batches):
                metrics.flush()
                run.epoch_sums = metrics.sums
                save_checkpoint(checkpoints, run.step, _state(run))
                return False

        metrics.end_epoch(run.epoch, run.step)
        keep = config.checkpoints.keep_every
        marked = keep > 0 and run.epoch % keep == 0
        run.epoch, run.batch, run.epoch_sums = run.epoch + 1, 0, None
        save_checkpoint(checkpoints, run.step, _state(run), marked=marked)
        if stop and run.epoch <= config.training.epochs:
            return False
    return True


def total_steps(config: Config, size: int) -> int:
    """The batches of a whole run over `size` images; an epoch's last batch may be short."""
    return config.training.epochs * -(-size // config.training.batch_size)


def _seeds(seed: int) -> Seeds:
    return Seeds(*(int(each) for each in np.random.SeedSequence(seed).generate_state(4, np.uint64)))


def _begin(config: Config, seeds: Seeds, device: torch.device) -> Training:
    generator, discriminator = (
        network.to(device) for network in build_networks(config, seeds.weights)
    )

    def adam(network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(), lr=config.optimizer.lr, betas=config.optimizer.betas
        )

    return Training(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=adam(generator),
        discriminator_optimizer=adam(discriminator),
        latents=torch.Generator(device).manual_seed(seeds.latents),
    )


def _noise(count: int, config: Config, source: torch.Generator) -> Tensor:
    """Latent vectors z ~ N(0, 1), (count, latent_size, 1, 1)."""
    shape = (count, config.network.latent_size, 1, 1)
    return torch.randn(shape, generator=source, device=source.device)


def _fixed_noise(config: Config, seeds: Seeds, device: torch.device) -> Tensor:
    source = torch.Generator(device).manual_seed(seeds.fixed_noise)
    return _noise(config.images.count, config, source)


def _epoch_order(size: int, seeds: Seeds, epoch: int) -> Tensor:
    """The order of the images in an epoch, a function of seed and epoch alone."""
    seed = np.random.SeedSequence([seeds.data_order, epoch]).generate_state(1, np.uint64)
    return torch.randperm(size, generator=torch.Generator().manual_seed(int(seed[0])))


def _picture(path: str, step: int, images: Tensor) -> Image:
    return Image(path, step, time.time_ns() // 1_000_000, image_grid(images))


_STATEFUL = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer")


def _state(run: Training) -> State:
    return {
        **{name: getattr(run, name).state_dict() for name in _STATEFUL},
        "latents": run.latents.get_state(),
        "epoch": run.epoch,
        "batch": run.batch,
        "step": run.step,
        "epoch_sums": run.epoch_sums,
    }


def _restore(run: Training, state: State) -> None:
    for name in _STATEFUL:
        getattr(run, name).load_state_dict(state[name])
    run.latents.set_state(state["latents"].cpu())
    run.epoch, run.batch, run.step = state["epoch"], state["batch"], state["step"]
    run.epoch_sums = state["epoch_sums"]
