"""The training loop: Goodfellow et al. 2014, algorithm 1, with the networks of Radford et al."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel
from torch.profiler import record_function

from dcgan import convolutions
from dcgan.checkpoint import SaveCheckpoint, State
from dcgan.config import Config
from dcgan.data import scale
from dcgan.data.batches import DataWait, gather, place
from dcgan.distributed import ALONE, World, synchronise_batch_norm
from dcgan.losses import LOSSES, gradient_penalty
from dcgan.metric_buffer import MetricBuffer
from dcgan.models import build_networks
from dcgan.precision import forward, set_matrix_arithmetic
from dcgan.sampling import draw_latents, generate, image_grid, moving_average
from dcgan.stabilisers import labels, view
from tracking.events import FIXED_NOISE, REAL, USAGE, Event, Image, Metrics

Network: TypeAlias = Callable[[Tensor], Tensor]

Assess: TypeAlias = Callable[[int, nn.Module], bool]
"""Measures at a step how good a G is; tells whether it is the best so far. It must not raise."""


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


def train(
    config: Config,
    pixels: Tensor,
    device: torch.device,
    emit: Callable[[Event], None],
    save: SaveCheckpoint,
    resume_from: State | None = None,
    stopping: Callable[[], bool] = lambda: False,
    world: World = ALONE,
    assess: Assess | None = None,
) -> bool:
    """Train to the end of `config`; return whether it was reached.

    pixels: uint8 (N, C, H, W). emit: takes every event of the run and must not raise.
    save: keeps a checkpoint, after epochs and when stopped; must not raise.
    resume_from: the state in a checkpoint of the same configuration and the same data;
        on the CPU the run then goes on bit for bit as if it had not been interrupted.
    stopping: asked after each step; True ends the training with a checkpoint.
    world: the processes that train together, each of which calls this alike.
    assess: asked every `evaluation.every_epochs` and after the last step, where it is given.

    On the CPU call `dcgan.allocator.keep_memory` before PyTorch is imported: large images
    then train much faster. A trace of torch.profiler has the ranges `data`, `discriminator`,
    `generator` and `tracking`.
    """
    set_matrix_arithmetic(config)
    seeds = _seeds(config.seed)
    run = _begin(config, seeds, device, world)
    if resume_from is not None:
        _restore(run, resume_from)
    if world.rank > 0:  # the processes perturb images of their own
        run.perturbations.manual_seed((seeds.perturbations + world.rank + run.step) % 2**64)
    recipe, loss = config.training, LOSSES[config.loss.name]
    total, steps = total_steps(config, len(pixels)), steps_per_epoch(config, len(pixels))
    draw = _callable(world.parallel(run.generator), config, device)
    judge = _callable(world.parallel(run.discriminator), config, device)
    judge_frozen = _callable(run.discriminator, config, device)
    one_pass = _one_pass(config, run.discriminator)
    fixed_noise = _fixed_noise(config, seeds, device)
    metrics = MetricBuffer(emit, run.epoch_sums, run.batch)
    if run.step == 0:
        emit(_picture(REAL, 0, scale(pixels[: config.images.count]), config))
        emit(_samples(run, fixed_noise, config))
    pixels, wait = place(pixels, device), DataWait()

    def see(images: Tensor) -> Tensor:
        return view(images, config.stabilisers, run.step / total, run.perturbations)

    def told(real: bool, count: int) -> Tensor:
        return labels(real, count, config.stabilisers, run.perturbations)

    while run.step < total:
        order = _epoch_order(len(pixels), seeds, run.epoch).to(pixels.device)
        done = run.batch * recipe.discriminator_batches
        left = order.split(recipe.batch_size)[done:]
        batches = zip(
            map(len, left), gather(pixels, map(world.share, left), device, wait), strict=True
        )
        while run.batch < steps:
            if config.training.compile:  # the mark imports Inductor, which takes a second
                torch.compiler.cudagraph_mark_step_begin()
            # D learns to tell real images from fakes, on one batch or, as a critic, on several.
            for whole, images in islice(batches, recipe.discriminator_batches):
                with record_function("discriminator"):
                    run.discriminator_optimizer.zero_grad()
                    real = see(scale(images.contiguous(memory_format=torch.channels_last)))
                    real_labels = told(True, len(real))
                    if not one_pass:
                        real_logits = judge(real)
                        real_loss = loss.discriminator(real_logits, real_labels)
                        if recipe.discriminator_step != "joint":
                            world.weighted(real_loss, len(real), whole).backward()
                    if recipe.discriminator_step == "two":
                        run.discriminator_optimizer.step()
                        run.discriminator_optimizer.zero_grad()

                    noise = world.share(draw_latents(whole, config.network, run.latents))
                    reused = recipe.generator_fakes == "reused"
                    with torch.set_grad_enabled(reused or not recipe.detach_fakes):
                        made = draw(noise)
                    fake = see(made.detach() if recipe.detach_fakes else made)
                    fake_labels = told(False, len(fake))
                    if one_pass:
                        real_logits, fake_logits = judge(torch.cat([real, fake])).chunk(2)
                        real_loss = loss.discriminator(real_logits, real_labels)
                    else:
                        fake_logits = judge(fake)
                    fake_loss = loss.discriminator(fake_logits, fake_labels)
                    objective = fake_loss
                    if one_pass or recipe.discriminator_step == "joint":
                        objective = real_loss + fake_loss
                    if config.loss.name == "wgan_gp":
                        penalty = gradient_penalty(judge, real, fake, run.perturbations)
                        objective = objective + config.loss.gradient_penalty * penalty
                    objective = world.weighted(objective, len(real), whole)
                    objective.backward(retain_graph=reused and not recipe.detach_fakes)
                    run.discriminator_optimizer.step()

            # G learns to make the new D take its fakes for real.
            for _ in range(recipe.generator_steps):
                with record_function("generator"):
                    run.generator_optimizer.zero_grad()
                    run.discriminator.requires_grad_(False)
                    if recipe.generator_fakes == "fresh":
                        noise = world.share(draw_latents(whole, config.network, run.latents))
                    if recipe.generator_fakes != "reused":
                        made = draw(noise)
                    fooled_logits = judge_frozen(see(made))
                    generator_loss = loss.generator(fooled_logits)
                    world.weighted(generator_loss, len(real), whole).backward()
                    run.discriminator.requires_grad_(True)
                    run.generator_optimizer.step()
                    if run.average is not None:
                        run.average.update_parameters(run.generator)

            run.step += 1
            run.batch += 1
            with record_function("tracking"):
                measured = {
                    "Gloss": generator_loss,
                    "Dloss": real_loss + fake_loss,
                    "D_x": loss.score(real_logits),
                    "D_G_z1": loss.score(fake_logits),
                    "D_G_z2": loss.score(fooled_logits),
                }
                if config.loss.name == "wgan_gp":
                    measured["gradient_penalty"] = penalty
                metrics.add(run.step, world.average(measured, len(real), whole))
                last, epoch_ended = run.step == total, run.batch == steps
                if last or _grid_is_due(run, config, epoch_ended):
                    metrics.flush()
                    emit(_samples(run, fixed_noise, config))
            stop = world.agreed(stopping(), run.step, device)
            if stop or last or epoch_ended:
                emit(_waited(run.step, wait))
            if (stop or last) and not epoch_ended:
                metrics.flush()
                best = last and assess is not None and assess(run.step, _drawing(run, config))
                run.epoch_sums = metrics.sums
                save(run.step, _state(run), best=best)
                return last

        metrics.end_epoch(run.epoch, run.step)
        epoch = run.epoch
        due = last or _every(config.evaluation.every_epochs, epoch)
        best = due and assess is not None and assess(run.step, _drawing(run, config))
        run.epoch, run.batch, run.epoch_sums = epoch + 1, 0, None
        marked = _every(config.checkpoints.keep_every, epoch)
        if stop or last or marked or best or _every(config.checkpoints.every_epochs, epoch):
            save(run.step, _state(run), marked=marked, best=best)
        if stop and not last:
            return False
    return True


def steps_per_epoch(config: Config, size: int) -> int:
    """Steps of one pass over `size` images; the last batch may be short."""
    return -(-size // (config.training.batch_size * config.training.discriminator_batches))


def total_steps(config: Config, size: int) -> int:
    """The steps of a whole run over `size` images."""
    if config.training.steps is not None:
        return config.training.steps
    return (config.training.epochs or 0) * steps_per_epoch(config, size)


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


def _callable(network: nn.Module, config: Config, device: torch.device) -> Network:
    """The network as the step calls it; grids and checkpoints take the network itself.

    On CUDA torch.compile replays its kernels as CUDA graphs; on the CPU it would not take in the
    fast convolutions.
    """
    called: Network = network
    if config.training.compile:
        mode = "reduce-overhead" if device.type == "cuda" else "default"
        called = torch.compile(network, mode=mode, dynamic=False)
    elif device.type == "cpu":
        called = partial(convolutions.call, network)
    return partial(forward, called, precision=config.training.precision)


def _one_pass(config: Config, discriminator: nn.Module) -> bool:
    """Whether D may see real images and fakes as one batch.

    It is the same step where no layer looks at its batch as a whole, as batch norm does, or
    counts its passes, as spectral norm does.
    """
    apart = config.training.discriminator_step == "two" or config.stabilisers.spectral_norm
    return not apart and not any(isinstance(each, _BatchNorm) for each in discriminator.modules())


def _fixed_noise(config: Config, seeds: Seeds, device: torch.device) -> Tensor:
    source = torch.Generator(device).manual_seed(seeds.fixed_noise)
    return draw_latents(config.images.count, config.network, source)


def _epoch_order(size: int, seeds: Seeds, epoch: int) -> Tensor:
    """The order of the images in an epoch, a function of seed and epoch alone."""
    seed = np.random.SeedSequence([seeds.data_order, epoch]).generate_state(1, np.uint64)
    return torch.randperm(size, generator=torch.Generator().manual_seed(int(seed[0])))


def _grid_is_due(run: Training, config: Config, epoch_ended: bool) -> bool:
    if config.images.every_epochs is not None:
        return epoch_ended and _every(config.images.every_epochs, run.epoch)
    return _every(config.images.every_steps or 0, run.step)


def _every(interval: int, count: int) -> bool:
    """Whether `count` is a multiple of `interval`; 0 is never."""
    return interval > 0 and count % interval == 0


def _waited(step: int, wait: DataWait) -> Metrics:
    now = time.time_ns() // 1_000_000
    return Metrics([step], [now], {f"{USAGE}/data_wait_percent": [wait.percent()]})


def _drawing(run: Training, config: Config) -> nn.Module:
    """The G whose images are shown and judged."""
    if config.images.weights == "ema" and run.average is not None:
        return run.average.module
    return run.generator


def _samples(run: Training, fixed_noise: Tensor, config: Config) -> Image:
    images = generate(_drawing(run, config), fixed_noise, config.images.mode)
    return _picture(FIXED_NOISE, run.step, images, config)


def _picture(path: str, step: int, images: Tensor, config: Config) -> Image:
    shown = -images if config.images.inverted else images
    return Image(path, step, time.time_ns() // 1_000_000, image_grid(shown))


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
