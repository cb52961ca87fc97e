"""One training step: D learns to tell real images from fakes, then G learns to fool D.

Goodfellow et al. 2014, algorithm 1, with the variants of it that published recipes use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.profiler import record_function

from dcgan.config.schema import Config
from dcgan.cpu.fast_convolutions import with_fast_convolutions
from dcgan.data.scaling import to_unit_range
from dcgan.sampling import draw_latents
from dcgan.training.distributed import World
from dcgan.training.losses import LOSSES, gradient_penalty
from dcgan.training.precision import forward_in_precision
from dcgan.training.stabilisers import augment, make_targets
from dcgan.training.state import TrainingState

Network: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class DiscriminatorStep:
    """What a step of D leaves for the step of G and for the metrics.

    Attributes:
        batch_size: Images in the batch of all processes together.
        noise: The latents of this process's fakes, (n, latent_size, 1, 1).
        fake: G's images from them, (n, C, H, W); with their graph if G's step reuses them.
        real_logits, fake_logits: D's logits of real images and of fakes, (n, outputs, ...).
        real_loss, fake_loss: D's loss on real images and on fakes, scalars.
        gradient_penalty: Without its weight, a scalar; None if the loss has none.
    """

    batch_size: int
    noise: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    real_loss: Tensor
    fake_loss: Tensor
    gradient_penalty: Tensor | None


@dataclass(frozen=True, eq=False)
class GeneratorStep:
    """What a step of G leaves for the metrics.

    Attributes:
        loss: G's loss, a scalar.
        gen_logits: D's logits of the fakes that G was updated on, (n, outputs, ...).
    """

    loss: Tensor
    gen_logits: Tensor


class AdversarialStep:
    """The two halves of a training step; both change the networks of `state`.

    Args:
        state: The networks, their optimizers and the random generators.
        config: The recipe.
        device: Where the networks are.
        world: The processes that train together.
        total_steps: Length of the training, over which instance noise fades.
    """

    def __init__(
        self,
        state: TrainingState,
        config: Config,
        device: torch.device,
        world: World,
        total_steps: int,
    ) -> None:
        self._state = state
        self._config = config
        self._world = world
        self._total_steps = total_steps
        self._loss = LOSSES[config.loss.name]
        self._generator = _as_called(world.wrap_ddp(state.generator), config, device)
        self._discriminator = _as_called(world.wrap_ddp(state.discriminator), config, device)
        # G's step needs no gradients of D; DDP's wrapper would wait for their average.
        self._discriminator_no_ddp = _as_called(state.discriminator, config, device)
        self._shares_d_pass = can_share_d_pass(config, state.discriminator)

    def discriminator(self, images: Tensor, batch_size: int) -> DiscriminatorStep:
        """Update D on one batch.

        Args:
            images: This process's real images, uint8 (n, C, H, W), values 0 to 255.
            batch_size: Images in the batch of all processes together.
        """
        state, training, loss = self._state, self._config.training, self._loss
        reuses_fakes = training.generator_fakes == "reused"
        with record_function("discriminator"):
            state.discriminator_optimizer.zero_grad()
            # A mapped file is in contiguous format; convolutions are faster in channels-last.
            images = images.contiguous(memory_format=torch.channels_last)
            real = self._augment(to_unit_range(images))
            real_targets = self._make_targets(True, len(real))
            if not self._shares_d_pass:
                real_logits = self._discriminator(real)
                real_loss = loss.discriminator(real_logits, real_targets)
                if training.discriminator_step != "joint":
                    self._world.rescale_mean(real_loss, len(real), batch_size).backward()
            if training.discriminator_step == "two":
                state.discriminator_optimizer.step()
                state.discriminator_optimizer.zero_grad()

            noise = self._draw_noise(batch_size)
            # No graph, unless this step's or G's backward pass goes through these fakes.
            with torch.set_grad_enabled(reuses_fakes or not training.detach_fakes):
                fake = self._generator(noise)
            fake_augmented = self._augment(fake.detach() if training.detach_fakes else fake)
            fake_targets = self._make_targets(False, len(fake_augmented))
            if self._shares_d_pass:
                both = torch.cat([real, fake_augmented])
                real_logits, fake_logits = self._discriminator(both).chunk(2)
                real_loss = loss.discriminator(real_logits, real_targets)
            else:
                fake_logits = self._discriminator(fake_augmented)
            fake_loss = loss.discriminator(fake_logits, fake_targets)
            d_loss = fake_loss
            if self._shares_d_pass or training.discriminator_step == "joint":
                d_loss = real_loss + fake_loss
            penalty = None
            if self._config.loss.traits.gradient_penalty:
                penalty = gradient_penalty(
                    self._discriminator, real, fake_augmented, state.perturbations
                )
                d_loss = d_loss + self._config.loss.gradient_penalty * penalty
            d_loss = self._world.rescale_mean(d_loss, len(real), batch_size)
            # G's backward pass needs the graph of G again if D's went through it.
            d_loss.backward(retain_graph=reuses_fakes and not training.detach_fakes)
            state.discriminator_optimizer.step()
        return DiscriminatorStep(
            batch_size, noise, fake, real_logits, fake_logits, real_loss, fake_loss, penalty
        )

    def generator(self, d_step: DiscriminatorStep) -> GeneratorStep:
        """Update G, and its moving average, against D as `d_step` left it."""
        state, training = self._state, self._config.training
        noise, fake = d_step.noise, d_step.fake
        with record_function("generator"):
            state.generator_optimizer.zero_grad()
            # D's gradients would be thrown away; without them the backward pass is shorter.
            state.discriminator.requires_grad_(False)
            if training.generator_fakes == "fresh":
                noise = self._draw_noise(d_step.batch_size)
            if training.generator_fakes != "reused":
                fake = self._generator(noise)
            gen_logits = self._discriminator_no_ddp(self._augment(fake))
            g_loss = self._loss.generator(gen_logits)
            self._world.rescale_mean(g_loss, len(fake), d_step.batch_size).backward()
            state.discriminator.requires_grad_(True)
            state.generator_optimizer.step()
            if state.average is not None:
                state.average.update_parameters(state.generator)
        return GeneratorStep(g_loss, gen_logits)

    def metrics(self, d_step: DiscriminatorStep, g_step: GeneratorStep) -> dict[str, Tensor]:
        """The metrics of a step: scalars on the device, over the batch of all processes."""
        values = {
            "Gloss": g_step.loss,
            "Dloss": d_step.real_loss + d_step.fake_loss,
            "D_x": self._loss.score(d_step.real_logits),
            "D_G_z1": self._loss.score(d_step.fake_logits),
            "D_G_z2": self._loss.score(g_step.gen_logits),
        }
        if d_step.gradient_penalty is not None:
            values["gradient_penalty"] = d_step.gradient_penalty
        return self._world.all_reduce_mean(values, len(d_step.noise), d_step.batch_size)

    def _augment(self, images: Tensor) -> Tensor:
        progress = self._state.step / self._total_steps
        return augment(images, self._config.stabilisers, progress, self._state.perturbations)

    def _make_targets(self, real: bool, count: int) -> Tensor:
        return make_targets(real, count, self._config.stabilisers, self._state.perturbations)

    def _draw_noise(self, batch_size: int) -> Tensor:
        return self._world.shard(
            draw_latents(batch_size, self._config.network, self._state.latents)
        )


def can_share_d_pass(config: Config, discriminator: nn.Module) -> bool:
    """Whether D may see real images and fakes in one batch.

    The step is the same unless a layer depends on the whole batch, as batch norm does, or
    changes with each forward pass, as spectral norm does.
    """
    if config.training.discriminator_step == "two" or config.stabilisers.spectral_norm:
        return False
    return not any(isinstance(layer, _BatchNorm) for layer in discriminator.modules())


def _as_called(network: nn.Module, config: Config, device: torch.device) -> Network:
    """The network as a step calls it; grids and checkpoints use the network itself.

    With torch.compile, kernels are replayed as CUDA graphs on CUDA; on the CPU the fast
    convolutions are left out, because it cannot compile them.
    """
    called: Network = network
    if config.training.compile:
        mode = "reduce-overhead" if device.type == "cuda" else "default"
        called = torch.compile(network, mode=mode, dynamic=False)
    elif device.type == "cpu":
        called = partial(with_fast_convolutions, network)
    return partial(forward_in_precision, called, precision=config.training.precision)
