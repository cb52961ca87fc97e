"""The fast step against a plain one: contiguous, unfused, real images and fakes apart."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils._pytree import tree_map_only

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config, ConfigError
from dcgan.cpu import fast_convolutions as convolutions
from dcgan.models import build_networks
from dcgan.profiling.step_timing import random_images
from dcgan.training.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    no_checkpoints,
    save_checkpoint,
)
from dcgan.training.device import choose_device
from dcgan.training.loop import train
from dcgan.training.precision import check_precision
from dcgan.training.schedule import epoch_order
from dcgan.training.state import derive_seeds
from dcgan.training.step import can_share_d_pass
from tracking.events import Event, Metrics

CPU = torch.device("cpu")
STEPS, BATCH = 20, 4
SIZES = {
    "celeba": ("network.generator_features=4", "network.discriminator_features=4"),
    "mnist-ablation": (),
}
Losses = list[tuple[float, float]]


def small(recipe: str, *settings: str) -> Config:
    given = (f"training.steps={STEPS}", f"training.batch_size={BATCH}", "images.count=4")
    return load_config(recipe, [parse_override(s) for s in (*given, *SIZES[recipe], *settings)])


def fast_losses(config: Config, pixels: Tensor, save=no_checkpoints, **arguments) -> Losses:
    events: list[Event] = []
    train(config, pixels, device=CPU, emit=events.append, save=save, **arguments)
    blocks = [
        event.values
        for event in events
        if isinstance(event, Metrics) and "training/batch/Gloss" in event.values
    ]
    names = ("training/batch/Gloss", "training/batch/Dloss")
    return [row for block in blocks for row in zip(*(block[name] for name in names), strict=True)]


def plain_losses(config: Config, pixels: Tensor) -> Losses:
    seeds = derive_seeds(config.seed)
    generator, discriminator = build_networks(config, seeds.weights)
    generator_optimizer, discriminator_optimizer = (
        torch.optim.Adam(
            network.parameters(),
            lr=config.optimizer.lr,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
            foreach=False,
        )
        for network in (generator, discriminator)
    )
    latents = torch.Generator().manual_seed(seeds.latents)

    def loss(logits: Tensor, label: float) -> Tensor:
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    losses = []
    for indices in epoch_order(len(pixels), seeds, 1).split(BATCH):
        discriminator.zero_grad()
        real_loss = loss(discriminator(pixels[indices] / 127.5 - 1), 1.0)
        real_loss.backward()
        fake = generator(torch.randn(BATCH, config.network.latent_size, 1, 1, generator=latents))
        fake_loss = loss(discriminator(fake.detach()), 0.0)
        fake_loss.backward()
        discriminator_optimizer.step()
        generator.zero_grad()
        generator_loss = loss(discriminator(fake), 1.0)
        generator_loss.backward()
        generator_optimizer.step()
        losses.append((generator_loss.item(), (real_loss + fake_loss).item()))
    return losses


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("recipe", SIZES)
@pytest.mark.parametrize("wide", [convolutions.WIDE, 1], ids=["as it is", "all layers by Winograd"])
def test_twenty_steps_have_the_losses_of_a_plain_loop(
    recipe: str, wide: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(convolutions, "WIDE", wide)
    config = small(recipe)
    pixels = random_images(config, STEPS * BATCH)
    fast, plain = fast_losses(config, pixels), plain_losses(config, pixels)
    assert len(fast) == STEPS
    torch.testing.assert_close(torch.tensor(fast), torch.tensor(plain), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), True),
        (("training.discriminator_step=joint",), True),
        (("training.discriminator_step=two",), False),
        (("stabilisers.spectral_norm=true",), False),
    ],
)
def test_d_sees_both_at_once_only_where_that_is_the_same_step(
    settings: tuple[str, ...], expected: bool
):
    config = small("mnist-ablation", *settings)
    _, discriminator = build_networks(config, seed=0)
    assert can_share_d_pass(config, discriminator) == expected
    with_batch_norm = small("celeba")
    _, discriminator = build_networks(with_batch_norm, seed=0)
    assert not can_share_d_pass(with_batch_norm, discriminator)


def test_bfloat16_gives_nearly_the_losses_of_float32_and_keeps_weights_in_it(tmp_path: Path):
    # At twice this rate what bfloat16 rounds away grows from step to step, on some CPUs faster.
    rate = "optimizer.lr=1e-4"
    config = small("mnist-ablation", rate)
    halves = small("mnist-ablation", rate, "training.precision=bf16")
    pixels = random_images(config, STEPS * BATCH)
    single = torch.tensor(fast_losses(config, pixels))
    half = torch.tensor(fast_losses(halves, pixels, partial(save_checkpoint, tmp_path)))
    assert not torch.equal(single, half)
    torch.testing.assert_close(half, single, rtol=0.03, atol=0)
    state = load_checkpoint(find_checkpoint(tmp_path))
    assert state["generator"]["0.weight"].dtype == torch.float32


def test_tf32_is_refused_where_it_does_not_exist():
    with pytest.raises(ConfigError, match=r'training\.precision = "tf32".*the device is cpu'):
        check_precision(small("celeba", "training.precision=tf32"), choose_device("cpu"))


def test_a_checkpoint_of_contiguous_tensors_goes_on_as_one_of_channels_last(tmp_path: Path):
    config = small("celeba")
    pixels = random_images(config, STEPS * BATCH)
    steps = iter(range(1, 100))
    save = partial(save_checkpoint, tmp_path)
    fast_losses(config, pixels, save, stopping=lambda: next(steps) == 10)
    state = load_checkpoint(find_checkpoint(tmp_path))
    weights = state["generator"]["3.weight"]
    assert weights.is_contiguous(memory_format=torch.channels_last)
    contiguous = tree_map_only(
        Tensor,
        lambda tensor: tensor.clone(memory_format=torch.contiguous_format),
        state,
    )
    assert not contiguous["generator"]["3.weight"].is_contiguous(memory_format=torch.channels_last)
    ours = fast_losses(config, pixels, resume_from=contiguous)
    assert ours == fast_losses(config, pixels, resume_from=state)
    assert len(ours) == STEPS - 10
