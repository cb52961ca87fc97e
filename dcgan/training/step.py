"""One training step: D learns to tell real images from fakes, then G learns to fool D.

Goodfellow et al. 2014, algorithm 1, with the variants of it that published recipes use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.profiler import record_function

from dcgan.config.schema import Config
from dcgan.data.scaling import to_unit_range
from dcgan.models.ema import update_moving_average
from dcgan.sampling import draw_latents
from dcgan.training.called_networks import called_networks
from dcgan.training.compiled import loss_compiled_for_full_batches
from dcgan.training.distributed import World
from dcgan.training.losses import LOSSES, gradient_penalty
from dcgan.training.stabilisers import augment, instance_noise_std, make_targets, mirror_half
from dcgan.training.state import TrainingState

Batch: TypeAlias = tuple[int, Tensor]
"""Images in the batch of all processes together, and this process's real images, uint8
(n, C, H, W), values 0 to 255."""


@dataclass(frozen=True, eq=False)
class DiscriminatorStep:
    """The results of a step of D, for the step of G and for the metrics.

    Attributes:
        batch_size: Images in the batch of all processes together.
        latents: Of this process's fakes, (n, latent_size, 1, 1).
        fake: G's images from them, (n, C, H, W); with their graph if G's step reuses them.
        real_logits, fake_logits: D's logits of real images and of fakes, (n, outputs, ...).
        real_loss, fake_loss: D's loss on real images and on fakes, scalars.
        gradient_penalty: Without its weight, a scalar; None if the loss has none.
    """

    batch_size: int
    latents: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    real_loss: Tensor
    fake_loss: Tensor
    gradient_penalty: Tensor | None


@dataclass(frozen=True, eq=False)
class GeneratorStep:
    """The results of a step of G, for the metrics.

    Attributes:
        loss: G's loss, a scalar.
        gen_logits: D's logits of the fakes that G was updated on, (n, outputs, ...).
    """

    loss: Tensor
    gen_logits: Tensor


class AdversarialStep:
    """A training step and its two halves; they change the networks of `state`.

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
        if config.training.compile:
            full = world.images_of(config.training.batch_size)
            self._loss = loss_compiled_for_full_batches(self._loss, full)
        self._instance_noise_std = torch.zeros((), device=device)
        self._networks = called_networks(
            state.generator, state.discriminator, config, device, world
        )
        self._shares_d_pass = can_share_d_pass(
            config, state.discriminator, norms_apart=self._networks.norms_apart
        )

    def __call__(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Update D on each batch, then G; return the metrics, as `metrics` does."""
        self.set_instance_noise()
        return self.update(batches)

    def set_instance_noise(self) -> None:
        """Set the standard deviation of the coming step's instance noise, on the device."""
        stabilisers = self._config.stabilisers
        if stabilisers.instance_noise > 0:
            progress = self._state.step / self._total_steps
            self._instance_noise_std.fill_(instance_noise_std(stabilisers, progress))

    def update(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """The step itself; all that it reads and writes is on the device."""
        for batch in batches:
            d_step = self.discriminator(batch)
        for _ in range(self._config.training.generator_steps):
            g_step = self.generator(d_step)
        return self.metrics(d_step, g_step)

    def discriminator(self, batch: Batch) -> DiscriminatorStep:
        """Update D on one batch."""
        batch_size, images = batch
        state, training, loss = self._state, self._config.training, self._loss
        reuses_fakes = training.generator_fakes == "reused"
        with record_function("discriminator"):
            state.discriminator_optimizer.zero_grad()
            if self._config.dataset.flip:
                images = mirror_half(images, state.perturbations)
            # A memory-mapped file is in contiguous format.
            images = images.contiguous(memory_format=torch.channels_last)
            real = self._augment(to_unit_range(images))
            real_targets = self._make_targets(True, len(real))
            if not self._shares_d_pass:
                with self._no_sync_if_accumulated():
                    real_logits = self._networks.discriminator(real)
                    real_loss = loss.discriminator(real_logits, real_targets)
                    if training.discriminator_step != "joint":
                        self._world.rescale_mean(real_loss, len(real), batch_size).backward()
            if training.discriminator_step == "two":
                state.discriminator_optimizer.step()
                state.discriminator_optimizer.zero_grad()

            latents = self._draw_latents(batch_size)
            # No graph, unless this step's or G's backward pass goes through these fakes.
            with torch.set_grad_enabled(reuses_fakes or not training.detach_fakes):
                fake = self._networks.generator(latents)
            fake_augmented = self._augment(fake.detach() if training.detach_fakes else fake)
            fake_targets = self._make_targets(False, len(fake_augmented))
            if self._shares_d_pass:
                both = torch.cat([real, fake_augmented])
                real_logits, fake_logits = self._networks.discriminator_of_both(both).chunk(2)
                real_loss = loss.discriminator(real_logits, real_targets)
            else:
                fake_logits = self._networks.discriminator(fake_augmented)
            fake_loss = loss.discriminator(fake_logits, fake_targets)
            d_loss = fake_loss
            if self._shares_d_pass or training.discriminator_step == "joint":
                d_loss = real_loss + fake_loss
            penalty = None
            if self._config.loss.traits.gradient_penalty:
                penalty = gradient_penalty(
                    self._networks.discriminator, real, fake_augmented, state.perturbations
                )
                d_loss = d_loss + self._config.loss.gradient_penalty * penalty
            d_loss = self._world.rescale_mean(d_loss, len(real), batch_size)
            # G's backward pass needs the graph of G again if D's went through it.
            d_loss.backward(retain_graph=reuses_fakes and not training.detach_fakes)
            state.discriminator_optimizer.step()
        return DiscriminatorStep(
            batch_size=batch_size,
            latents=latents,
            fake=fake,
            real_logits=real_logits,
            fake_logits=fake_logits,
            real_loss=real_loss,
            fake_loss=fake_loss,
            gradient_penalty=penalty,
        )

    def generator(self, d_step: DiscriminatorStep) -> GeneratorStep:
        """Update G, and its moving average, against D as `d_step` left it."""
        state, training = self._state, self._config.training
        latents, fake = d_step.latents, d_step.fake
        with record_function("generator"):
            state.generator_optimizer.zero_grad()
            with _frozen(state.discriminator):
                if training.generator_fakes == "fresh":
                    latents = self._draw_latents(d_step.batch_size)
                if training.generator_fakes != "reused":
                    fake = self._networks.generator(latents)
                gen_logits = self._networks.discriminator_no_ddp(self._augment(fake))
                g_loss = self._loss.generator(gen_logits)
                self._world.rescale_mean(g_loss, len(fake), d_step.batch_size).backward()
            state.generator_optimizer.step()
            if state.average is not None:
                decay = self._config.stabilisers.generator_ema
                update_moving_average(state.average, state.generator, decay)
        return GeneratorStep(g_loss, gen_logits)

    def metrics(self, d_step: DiscriminatorStep, g_step: GeneratorStep) -> dict[str, Tensor]:
        """The metrics of a step: scalars on the device, whose sum over processes is the mean."""
        values = {
            "Gloss": g_step.loss,
            "Dloss": d_step.real_loss + d_step.fake_loss,
            "D_x": self._loss.score(d_step.real_logits),
            "D_G_z1": self._loss.score(d_step.fake_logits),
            "D_G_z2": self._loss.score(g_step.gen_logits),
        }
        if d_step.gradient_penalty is not None:
            values["gradient_penalty"] = d_step.gradient_penalty
        return self._world.weigh(values, len(d_step.latents), d_step.batch_size)

    def gradients(self) -> dict[str, list[Tensor]]:
        """The gradients of each network's last update, by `G` and `D`."""
        networks = {"G": self._state.generator, "D": self._state.discriminator}
        return {
            name: [each.grad for each in network.parameters() if each.grad is not None]
            for name, network in networks.items()
        }

    def _no_sync_if_accumulated(self) -> AbstractContextManager[None]:
        """A context for D's first backward pass that leaves averaging its gradients to the second.

        Not for `two`, which updates D after the first pass, nor for `joint`, which has one pass.
        """
        if self._config.training.discriminator_step == "accumulated":
            return self._world.no_sync(self._networks.discriminator_ddp)
        return nullcontext()

    def _augment(self, images: Tensor) -> Tensor:
        stabilisers, rng = self._config.stabilisers, self._state.perturbations
        return augment(images, stabilisers, self._instance_noise_std, rng)

    def _make_targets(self, real: bool, count: int) -> Tensor:
        return make_targets(real, count, self._config.stabilisers, self._state.perturbations)

    def _draw_latents(self, batch_size: int) -> Tensor:
        return self._world.shard(
            draw_latents(batch_size, self._config.network, self._state.latents)
        )


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Without gradients of the weights, which are not needed: the backward pass is shorter.

    They are turned on again even after an error, because a step that cannot be captured is rerun.
    """
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def can_share_d_pass(
    config: Config, discriminator: nn.Module, *, norms_apart: bool = False
) -> bool:
    """Whether D may see real images and fakes in one batch.

    The step is the same unless a layer depends on the whole batch, as batch norm does, or
    changes with each forward pass, as spectral norm does.

    Args:
        config: The recipe.
        discriminator: D.
        norms_apart: Whether batch norm sees real images and fakes apart all the same.
    """
    if config.training.discriminator_step == "two" or config.stabilisers.spectral_norm:
        return False
    return norms_apart or not any(
        isinstance(layer, _BatchNorm) for layer in discriminator.modules()
    )
