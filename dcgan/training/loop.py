"""The training loop: Goodfellow et al. 2014, algorithm 1, with the networks of Radford et al."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from dcgan.config.schema import Config
from dcgan.data.batches import DataWait, gather, place
from dcgan.data.scaling import scale
from dcgan.sampling import draw_latents, generate, image_grid
from dcgan.training.checkpoint import SaveCheckpoint, State
from dcgan.training.distributed import ALONE, World
from dcgan.training.losses import LOSSES, gradient_penalty
from dcgan.training.metric_buffer import MetricBuffer
from dcgan.training.precision import set_matrix_arithmetic
from dcgan.training.schedule import _epoch_order, _every, _grid_is_due, steps_per_epoch, total_steps
from dcgan.training.stabilisers import labels, view
from dcgan.training.state import Seeds, Training, _begin, _restore, _seeds, _state
from dcgan.training.step import _callable, _one_pass
from tracking.events import FIXED_NOISE, REAL, USAGE, Event, Image, Metrics

EvaluateCallback: TypeAlias = Callable[[int, nn.Module], bool]
"""Measures at a step how good a G is; tells whether it is the best so far. It must not raise."""


def train(
    config: Config,
    pixels: Tensor,
    device: torch.device,
    emit: Callable[[Event], None],
    save: SaveCheckpoint,
    resume_from: State | None = None,
    stopping: Callable[[], bool] = lambda: False,
    world: World = ALONE,
    assess: EvaluateCallback | None = None,
) -> bool:
    """Train to the end of `config`; return whether it was reached.

    pixels: uint8 (N, C, H, W). emit: takes every event of the run and must not raise.
    save: keeps a checkpoint, after epochs and when stopped; must not raise.
    resume_from: the state in a checkpoint of the same configuration and the same data;
        on the CPU the run then goes on bit for bit as if it had not been interrupted.
    stopping: asked after each step; True ends the training with a checkpoint.
    world: the processes that train together, each of which calls this alike.
    assess: asked every `evaluation.every_epochs` and after the last step, where it is given.

    On the CPU call `dcgan.cpu.allocator.keep_memory` before PyTorch is imported: large images
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


def _fixed_noise(config: Config, seeds: Seeds, device: torch.device) -> Tensor:
    source = torch.Generator(device).manual_seed(seeds.fixed_noise)
    return draw_latents(config.images.count, config.network, source)


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
