"""Every recipe against its source, written out plainly beside this file: layers, then steps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config
from dcgan.models import build_networks
from dcgan.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from dcgan.training.loop import train
from dcgan.training.schedule import epoch_order
from dcgan.training.state import derive_seeds
from tests.fidelity import anime_tf, astro, celeba, mnist_ablation, mnist_softmax
from tracking.events import Event, Metrics

SOURCES: dict[str, ModuleType] = {
    "celeba": celeba,
    "anime": celeba,
    "anime-tf": anime_tf,
    "mnist-ablation": mnist_ablation,
    "mnist-softmax": mnist_softmax,
    "astro": astro,
}
BATCH, STEPS = 4, 2

Layers = list[tuple[str, int, tuple[int, ...]]]
"""The kind of each layer with weights, its number of parameters, the shape of what it gives."""

RADFORD_GENERATOR: Layers = [
    ("ConvTranspose2d", 819_200, (512, 4, 4)),
    ("BatchNorm2d", 1_024, (512, 4, 4)),
    ("ConvTranspose2d", 2_097_152, (256, 8, 8)),
    ("BatchNorm2d", 512, (256, 8, 8)),
    ("ConvTranspose2d", 524_288, (128, 16, 16)),
    ("BatchNorm2d", 256, (128, 16, 16)),
    ("ConvTranspose2d", 131_072, (64, 32, 32)),
    ("BatchNorm2d", 128, (64, 32, 32)),
    ("ConvTranspose2d", 3_072, (3, 64, 64)),
]
RADFORD_DISCRIMINATOR: Layers = [
    ("Conv2d", 3_072, (64, 32, 32)),
    ("Conv2d", 131_072, (128, 16, 16)),
    ("BatchNorm2d", 256, (128, 16, 16)),
    ("Conv2d", 524_288, (256, 8, 8)),
    ("BatchNorm2d", 512, (256, 8, 8)),
    ("Conv2d", 2_097_152, (512, 4, 4)),
    ("BatchNorm2d", 1_024, (512, 4, 4)),
    ("Conv2d", 8_192, (1, 1, 1)),
]
LAYERS: dict[str, tuple[Layers, Layers]] = {
    "celeba": (RADFORD_GENERATOR, RADFORD_DISCRIMINATOR),
    "anime": (RADFORD_GENERATOR, RADFORD_DISCRIMINATOR),
    "anime-tf": (RADFORD_GENERATOR, [*RADFORD_DISCRIMINATOR[:-1], ("Conv2d", 8_192, (1, 2, 2))]),
    "astro": (
        [("ConvTranspose2d", 1_048_576, (512, 4, 4)), *RADFORD_GENERATOR[1:]],
        [
            RADFORD_DISCRIMINATOR[0],
            ("BatchNorm2d", 128, (64, 32, 32)),
            *RADFORD_DISCRIMINATOR[1:],
        ],
    ),
    "mnist-ablation": (
        [
            ("ConvTranspose2d", 204_800, (128, 4, 4)),
            ("BatchNorm2d", 256, (128, 4, 4)),
            ("ConvTranspose2d", 73_728, (64, 7, 7)),
            ("BatchNorm2d", 128, (64, 7, 7)),
            ("ConvTranspose2d", 32_768, (32, 14, 14)),
            ("BatchNorm2d", 64, (32, 14, 14)),
            ("ConvTranspose2d", 513, (1, 28, 28)),
        ],
        [
            ("Conv2d", 544, (32, 14, 14)),
            ("Conv2d", 32_832, (64, 7, 7)),
            ("Linear", 1_606_144, (512,)),
            ("Linear", 513, (1,)),
        ],
    ),
    "mnist-softmax": (
        [
            ("Linear", 633_472, (6_272,)),
            ("BatchNorm1d", 12_544, (6_272,)),
            ("ConvTranspose2d", 204_864, (64, 15, 15)),  # of which 14x14 are kept
            ("BatchNorm2d", 128, (64, 14, 14)),
            ("ConvTranspose2d", 1_601, (1, 29, 29)),  # of which 28x28 are kept
        ],
        [
            ("Conv2d", 1_664, (64, 14, 14)),
            ("BatchNorm2d", 128, (64, 14, 14)),
            ("Conv2d", 819_328, (128, 7, 7)),
            ("BatchNorm2d", 256, (128, 7, 7)),
            ("Linear", 6_423_552, (1_024,)),
            ("BatchNorm1d", 2_048, (1_024,)),
            ("Linear", 2_050, (2,)),
        ],
    ),
}
TOTALS = {
    "celeba": (3_576_704, 2_765_568),
    "anime": (3_576_704, 2_765_568),
    "anime-tf": (3_576_704, 2_765_568),
    "astro": (3_806_080, 2_765_696),
    "mnist-ablation": (312_257, 1_640_033),
    "mnist-softmax": (852_609, 7_249_026),
}


def layers(network: nn.Module, given: Tensor) -> Layers:
    table: Layers = []

    def note(layer: nn.Module, _: Any, given: Tensor) -> None:
        count = sum(parameter.numel() for parameter in layer.parameters())
        if count:
            table.append((type(layer).__name__, count, tuple(given.shape[1:])))

    hooks = [layer.register_forward_hook(note) for layer in network.children()]
    network(given)
    for hook in hooks:
        hook.remove()
    return table


@pytest.mark.parametrize("name", SOURCES)
def test_the_layer_table_and_the_parameter_counts(name: str):
    config = load_config(name, [])
    size, channels = config.dataset.image_size, config.dataset.channels
    generator, discriminator = build_networks(config, seed=0)
    latents = torch.randn(2, config.network.latent_size, 1, 1)
    assert layers(generator, latents) == LAYERS[name][0]
    assert layers(discriminator, torch.randn(2, channels, size, size)) == LAYERS[name][1]
    counts = [
        sum(parameter.numel() for parameter in network.parameters())
        for network in (generator, discriminator)
    ]
    assert tuple(counts) == TOTALS[name]
    assert generator(latents).shape == (2, channels, size, size)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", SOURCES)
def test_two_steps_give_the_losses_and_the_weights_of_the_source(name: str, tmp_path: Path):
    settings = (f"training.steps={STEPS}", f"training.batch_size={BATCH}", "images.count=4")
    config = load_config(name, [parse_override(text) for text in settings])
    size, channels = config.dataset.image_size, config.dataset.channels
    random = torch.Generator().manual_seed(3)
    shape = (BATCH * STEPS, channels, size, size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)

    expected, reference = reference_run(SOURCES[name], config, pixels)
    measured, state = engine_run(config, pixels, tmp_path)

    for row, (ours, theirs) in enumerate(zip(measured, expected, strict=True)):
        assert ours.keys() == theirs.keys()
        for loss, value in theirs.items():
            assert ours[loss] == pytest.approx(value, rel=1e-6), (row, loss)
    for network in ("generator", "discriminator"):
        assert_equal_weights(state[network], reference[network])
        moments = state[f"{network}_optimizer"]["state"].values()
        theirs = reference[f"{network}_optimizer"].state.values()
        for our_moment, their_moment in zip(moments, theirs, strict=True):
            for moment in ("exp_avg", "exp_avg_sq"):
                assert_close(our_moment[moment], their_moment[moment])


def reference_run(
    source: ModuleType, config: Config, pixels: Tensor
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """The source's script from our first weights, on our batches, with our latents."""
    seeds = derive_seeds(config.seed)
    generator, discriminator = source.Generator(), source.Discriminator()
    for theirs, ours in zip(
        (generator, discriminator), build_networks(config, seeds.weights), strict=True
    ):
        with torch.no_grad():
            for into, weights in zip(theirs.parameters(), ours.parameters(), strict=True):
                assert into.shape == weights.shape
                into.copy_(weights)
    latents = torch.Generator().manual_seed(seeds.latents)
    uniform = config.name == "mnist-softmax"

    def draw() -> Tensor:
        shape = (BATCH, 128 if config.name == "astro" else 100, 1, 1)
        if uniform:
            return torch.rand(shape, generator=latents) * 2 - 1
        return torch.randn(shape, generator=latents)

    optimizers = source.optimizer(generator), source.optimizer(discriminator)
    losses = [
        source.step(generator, discriminator, *optimizers, pixels[batch] / 127.5 - 1, draw)
        for batch in epoch_order(len(pixels), seeds, 1).split(BATCH)
    ]
    return losses, {
        "generator": generator,
        "discriminator": discriminator,
        "generator_optimizer": optimizers[0],
        "discriminator_optimizer": optimizers[1],
    }


def engine_run(
    config: Config, pixels: Tensor, folder: Path
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    events: list[Event] = []
    assert train(
        config,
        pixels,
        device=torch.device("cpu"),
        emit=events.append,
        save=partial(save_checkpoint, folder),
    )
    rows = [
        {path.rpartition("/")[2]: column[row] for path, column in event.values.items()}
        for event in events
        if isinstance(event, Metrics) and "training/batch/Gloss" in event.values
        for row in range(len(event.steps))
    ]
    return rows, load_checkpoint(find_checkpoint(folder))


def assert_equal_weights(ours: dict[str, Tensor], theirs: nn.Module) -> None:
    """Parameters and batch norm's running statistics, in the order of the layers."""
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    ours_apart = [
        [value for key, value in ours.items() if key.endswith(buffers) == running]
        for running in (False, True)
    ]
    theirs_apart = [list(theirs.parameters()), list(theirs.buffers())]
    for our_values, their_values in zip(ours_apart, theirs_apart, strict=True):
        for value, expected in zip(our_values, their_values, strict=True):
            assert_close(value, expected.detach())


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """To 1e-6 relative; what is far below the largest of its tensor is zero but for rounding.

    So is a bias before batch norm that starts at 0: its gradient is nothing but rounding, which
    differs between kernels and of which Adam makes up to 2e-9. A step of Adam on a gradient that
    is not zero is about `lr`, more than 10,000 times the tolerance.
    """
    largest = float(theirs.abs().max())
    rounding = max(1e-9, 1e-8 * largest) if largest > 1e-6 else 1e-8
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=rounding)


@pytest.mark.parametrize(
    ("name", "facts"),
    {
        "celeba": {
            "dataset.fit": "crop", "dataset.split": "all", "training.batch_size": 128,
            "images.every_steps": 500, "images.count": 64, "images.mode": "train",
            "optimizer.lr": 2e-4, "init.scheme": "dcgan", "init.bn_mean": 1.0,
            "init.init_discriminator": True, "training.generator_fakes": "reused",
        },
        "anime": {
            "dataset.fit": "stretch", "training.epochs": 100, "training.batch_size": 128,
            "images.count": 64, "source.images": 63_632,
        },
        "anime-tf": {
            "dataset.fit": "stretch", "network.batch_norm_epsilon": 0.8,
            "network.batch_norm_momentum": 0.9, "network.discriminator_head": "2x2",
            "training.discriminator_step": "two", "training.generator_fakes": "regenerated",
        },
        "mnist-ablation": {
            "dataset.name": "mnist", "dataset.split": "all", "training.epochs": 20,
            "training.batch_size": 128, "optimizer.weight_decay": 2e-4 / 20,
            "images.every_epochs": 2, "images.count": 256, "images.mode": "eval",
            "init.scheme": "dcgan",
        },
        "mnist-softmax": {
            "dataset.name": "mnist", "dataset.split": "train", "training.steps": 10_000,
            "training.batch_size": 128, "optimizer.lr": 2e-3, "network.latent_law": "uniform",
            "images.every_steps": 500, "images.count": 36, "images.mode": "eval",
            "images.inverted": True, "training.generator_fakes": "fresh", "loss.name": "softmax",
            "init.scheme": "glorot", "network.batch_norm_epsilon": 1e-3,
            "network.batch_norm_momentum": 0.01,
        },
        "astro": {
            "dataset.name": "sky", "training.epochs": 200, "training.batch_size": 10,
            "network.latent_size": 128, "init.scheme": "default", "images.every_epochs": 1,
            "training.discriminator_step": "joint", "training.generator_fakes": "fresh",
            "optimizer.lr": 2e-4,
        },
    }.items(),
)  # fmt: skip
def test_the_published_settings(name: str, facts: dict[str, object]):
    tree = load_config(name, []).model_dump()
    assert tree["optimizer"]["betas"] == (0.5, 0.999)
    for path, expected in facts.items():
        section, key = path.split(".")
        assert tree[section][key] == expected, path


def test_which_weights_the_ablation_initialises():
    """Convolutions and batch norm from the published laws; the rest as PyTorch leaves it."""
    drawn = build_networks(load_config("mnist-ablation", []), seed=1)
    default = build_networks(
        load_config("mnist-ablation", [parse_override("init.scheme=default")]), seed=1
    )
    for ours, untouched in zip(drawn, default, strict=True):
        for layer, as_built in zip(ours, untouched, strict=True):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.15)
                if layer.bias is not None:
                    assert torch.equal(layer.bias, as_built.bias)
            elif isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.mean().item() == pytest.approx(1.0, abs=0.02)
                assert (layer.bias == 0).all()
            elif isinstance(layer, nn.Linear):
                assert torch.equal(layer.weight, as_built.weight)
                assert torch.equal(layer.bias, as_built.bias)
