"""The loop: its arithmetic against a reference written by hand, its randomness, its metrics."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dcgan.config.schema import Config
from dcgan.data.batches import DataWait, some_images
from dcgan.models import build_networks
from dcgan.training import loop, step
from dcgan.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from dcgan.training.distributed import SINGLE_PROCESS, World
from dcgan.training.schedule import epoch_order
from dcgan.training.state import derive_seeds, initial_state
from tracking.events import Event, Image, Metrics

CPU = torch.device("cpu")


def run(config: Config, pixels: Tensor, folder: Path, **arguments) -> list[Event]:
    events: list[Event] = []
    assert loop.train(
        config,
        pixels,
        device=CPU,
        emit=events.append,
        save=partial(save_checkpoint, folder),
        **arguments,
    )
    return events


def last_state(folder: Path):
    return load_checkpoint(find_checkpoint(folder))


def batch_metrics(events: list[Event]) -> dict[str, list[float]]:
    columns: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, Metrics) and "training/batch/Gloss" in event.values:
            for path, values in event.values.items():
                columns.setdefault(path.rpartition("/")[2], []).extend(values)
            columns.setdefault("step", []).extend(event.steps)
    return columns


class Reference:
    """One network of plain tensors, with BN, losses and Adam written out from the papers."""

    def __init__(self, network: torch.nn.Sequential) -> None:
        self.weights = [p.detach().clone().requires_grad_() for p in network.parameters()]
        self.first_moment = [torch.zeros_like(w) for w in self.weights]
        self.second_moment = [torch.zeros_like(w) for w in self.weights]

    def generate(self, x: Tensor) -> Tensor:
        weights = iter(self.weights)
        for layer in range(3):
            stride, padding = (1, 0) if layer == 0 else (2, 1)
            x = functional.conv_transpose2d(x, next(weights), stride=stride, padding=padding)
            x = torch.clamp(batch_norm(x, next(weights), next(weights)), min=0)
        return torch.tanh(functional.conv_transpose2d(x, next(weights), stride=2, padding=1))

    def discriminate(self, x: Tensor) -> Tensor:
        weights = iter(self.weights)
        x = leaky(functional.conv2d(x, next(weights), stride=2, padding=1))
        for _ in range(2):
            x = functional.conv2d(x, next(weights), stride=2, padding=1)
            x = leaky(batch_norm(x, next(weights), next(weights)))
        return 1 / (1 + torch.exp(-functional.conv2d(x, next(weights)).flatten()))

    def adam_step(self, loss: Tensor, lr: float, beta1: float, beta2: float, t: int) -> None:
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            for w, g, m, v in zip(
                self.weights, gradients, self.first_moment, self.second_moment, strict=True
            ):
                m.mul_(beta1).add_((1 - beta1) * g)
                v.mul_(beta2).add_((1 - beta2) * g * g)
                w.sub_(lr * (m / (1 - beta1**t)) / (torch.sqrt(v / (1 - beta2**t)) + 1e-8))


def batch_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    normal = (x - mean) / torch.sqrt(variance + 1e-5)
    return normal * scale[:, None, None] + shift[:, None, None]


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def bce(probability: Tensor, label: int) -> Tensor:
    return -torch.log(probability if label else 1 - probability).mean()


TWO_RATES = (
    "optimizer.lr=4e-4",
    "optimizer.generator_lr=1e-4",
    "optimizer.discriminator_betas=[0.0, 0.9]",
)
"""Two time-scales (Heusel et al. 2017): G has a rate of its own, and D betas of its own."""


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("settings", "of_generator", "of_discriminator"),
    [
        ((), (2e-4, 0.5, 0.999), (2e-4, 0.5, 0.999)),
        (TWO_RATES, (1e-4, 0.5, 0.999), (4e-4, 0.0, 0.9)),
    ],
)
def test_losses_and_weights_equal_a_reference_written_by_hand(
    settings, of_generator, of_discriminator, small_config, pixels, tmp_path
):
    config = small_config("training.epochs=1", *settings)
    seeds = derive_seeds(config.seed)
    generator, discriminator = map(Reference, build_networks(config, seeds.weights))
    latents = torch.Generator().manual_seed(seeds.latents)
    expected: dict[str, list[float]] = {
        "Gloss": [],
        "Dloss": [],
        "D_x": [],
        "D_G_z1": [],
        "D_G_z2": [],
    }
    for t, indices in enumerate(epoch_order(40, seeds, 1).split(16), start=1):
        real = pixels[indices].double() / 127.5 - 1
        fake = generator.generate(torch.randn(len(real), 8, 1, 1, generator=latents))
        d_real, d_fake = discriminator.discriminate(real), discriminator.discriminate(fake.detach())
        d_loss = bce(d_real, 1) + bce(d_fake, 0)
        discriminator.adam_step(d_loss, *of_discriminator, t)
        fooled = discriminator.discriminate(fake)
        g_loss = bce(fooled, 1)
        generator.adam_step(g_loss, *of_generator, t)
        values = (g_loss, d_loss, d_real.mean(), d_fake.mean(), fooled.mean())
        for name, value in zip(expected, values, strict=True):
            expected[name].append(value.item())

    events = run(config, pixels, tmp_path)

    measured = batch_metrics(events)
    for name, values in expected.items():
        np.testing.assert_allclose(measured[name], values, rtol=1e-9, err_msg=name)
    state = last_state(tmp_path)
    for reference, name in ((generator, "generator"), (discriminator, "discriminator")):
        trained = [
            tensor
            for key, tensor in state[name].items()
            if "running" not in key and "num_batches" not in key
        ]
        for ours, theirs in zip(trained, reference.weights, strict=True):
            torch.testing.assert_close(ours, theirs.detach(), rtol=1e-7, atol=1e-10)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_does_not(
    small_config, pixels, tmp_path
):
    first = batch_metrics(run(small_config(), pixels, tmp_path / "a"))
    again = batch_metrics(run(small_config(), pixels, tmp_path / "b"))
    other = batch_metrics(run(small_config("seed=1"), pixels, tmp_path / "c"))
    assert first == again
    assert first["Gloss"] != other["Gloss"]


def test_switching_the_initialisation_off_changes_nothing_else(
    small_config, pixels, tmp_path, monkeypatch
):
    seen: list[list[Tensor]] = []
    real_scale, real_noise = step.to_unit_range, step.draw_latents

    def watch(function, log):
        def watched(*arguments):
            result = function(*arguments)
            log.append(result.clone())
            return result

        return watched

    for scheme in ("dcgan", "default"):
        log: list[Tensor] = []
        for module in (loop, step):
            monkeypatch.setattr(module, "to_unit_range", watch(real_scale, log))
            monkeypatch.setattr(module, "draw_latents", watch(real_noise, log))
        run(small_config(f"init.scheme={scheme}"), pixels, tmp_path / scheme)
        seen.append(log)
    batches_and_latents, theirs = seen
    assert len(batches_and_latents) == len(theirs) > 12
    assert all(map(torch.equal, batches_and_latents, theirs))


def test_each_process_perturbs_its_images_in_its_own_way(small_config, pixels, tmp_path):
    def losses(setting: str, rank: int) -> list[float]:
        folder = tmp_path / f"{setting} {rank}"
        return batch_metrics(run(small_config(setting), pixels, folder, world=World(rank)))["Dloss"]

    noise = "stabilisers.instance_noise={}".format
    assert losses(noise(0.0), 0) == losses(noise(0.0), 1)  # the same latents
    assert losses(noise(0.1), 0) != losses(noise(0.1), 1)


@pytest.mark.parametrize("kind", ["cpu", "meta"])
def test_the_order_of_the_images_is_where_they_are(
    small_config, pixels, kind: str, monkeypatch: pytest.MonkeyPatch
):
    found: list[str] = []

    def iterate(pixels: Tensor, batches, device: torch.device, wait: object):
        found.extend(indices.device.type for indices in batches)
        return iter(())

    monkeypatch.setattr(loop, "iterate_batches", iterate)
    config = small_config()
    seeds = derive_seeds(0)
    state = initial_state(config, seeds, CPU, SINGLE_PROCESS)
    images = pixels.to(kind)
    loop._remaining_batches(config, images, seeds, state, CPU, SINGLE_PROCESS, DataWait())
    assert found == [kind] * 3


def test_every_batch_is_measured_once_and_epoch_means_are_means(small_config, pixels, tmp_path):
    events = run(small_config(), pixels, tmp_path)
    batch = batch_metrics(events)
    assert batch["step"] == [1, 2, 3, 4, 5, 6]
    epochs = [event for event in events if isinstance(event, Metrics) and len(event.values) == 6]
    assert [event.steps for event in epochs] == [[3], [6]]
    assert [event.values["training/epoch/number"] for event in epochs] == [[1.0], [2.0]]
    for event, rows in zip(epochs, (slice(0, 3), slice(3, 6)), strict=True):
        for name in ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2"):
            (mean,) = event.values[f"training/epoch/{name}"]
            assert mean == pytest.approx(np.mean(batch[name][rows]), rel=1e-12)


def test_metrics_cross_in_blocks_of_50_steps(small_config, pixels, tmp_path, monkeypatch):
    monkeypatch.setattr("dcgan.training.metric_buffer.BLOCK_SECONDS", 3600)
    config = small_config("training.epochs=10", "images.every_steps=100000")
    one_epoch = pixels.repeat(3, 1, 1, 1)[:112]  # seven batches
    blocks = [
        len(event.steps)
        for event in run(config, one_epoch, tmp_path)
        if isinstance(event, Metrics) and "training/batch/Gloss" in event.values
    ]
    assert blocks == [7] * 10  # the end of an epoch ends a block
    config = small_config("training.epochs=1", "training.batch_size=2", "images.every_steps=100000")
    blocks = [
        len(event.steps)
        for event in run(config, one_epoch[:110], tmp_path / "one")
        if isinstance(event, Metrics) and "training/batch/Gloss" in event.values
    ]
    assert blocks == [50, 5]


def test_grids_come_at_the_start_every_n_steps_and_at_the_very_last(small_config, pixels, tmp_path):
    pictures = [
        event for event in run(small_config("images.every_steps=4"), pixels, tmp_path)
        if isinstance(event, Image)
    ]  # fmt: skip
    noise = [event for event in pictures if event.path == "images/fixed_noise"]
    assert [event.step for event in noise] == [0, 4, 6]
    assert {event.pixels.shape for event in noise} == {(3 * 34 + 2, 3 * 34 + 2, 1)}
    assert not np.array_equal(noise[0].pixels, noise[-1].pixels)
    real = [event for event in pictures if event.path == "images/real"]
    assert [event.step for event in real] == [0]
    np.testing.assert_array_equal(real[0].pixels[2:34, 2:34, 0], some_images(pixels, 9)[0, 0])


def test_looking_more_often_does_not_change_the_training(small_config, pixels, tmp_path):
    run(small_config("images.every_steps=1"), pixels, tmp_path / "often")
    run(small_config("images.every_steps=1000"), pixels, tmp_path / "seldom")
    often, seldom = last_state(tmp_path / "often"), last_state(tmp_path / "seldom")
    for name in ("generator", "discriminator"):
        for key, value in often[name].items():
            assert torch.equal(value, seldom[name][key]), key


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 5])
def test_a_stopped_run_goes_on_bit_for_bit(small_config, pixels, tmp_path, stop_at):
    whole = run(small_config(), pixels, tmp_path / "whole")
    steps = iter(range(1, 100))
    events: list[Event] = []
    finished = loop.train(
        small_config(),
        pixels,
        device=CPU,
        emit=events.append,
        save=partial(save_checkpoint, tmp_path / "parts"),
        stopping=lambda: next(steps) >= stop_at,
    )
    assert not finished
    state = last_state(tmp_path / "parts")
    assert state["step"] == stop_at
    events += run(small_config(), pixels, tmp_path / "parts", resume_from=state)

    assert batch_metrics(events) == batch_metrics(whole)
    means = [
        [event.values for event in part if isinstance(event, Metrics) and len(event.values) == 6]
        for part in (events, whole)
    ]
    assert means[0] == means[1]
    ours, theirs = last_state(tmp_path / "parts"), last_state(tmp_path / "whole")
    for name in ("generator", "discriminator"):
        for key, value in theirs[name].items():
            assert torch.equal(ours[name][key], value), key
