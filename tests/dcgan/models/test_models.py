"""The networks: their families, their variants, their initial weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import ConfigError
from dcgan.models import build_networks, dcgan


def networks(*settings: str) -> tuple[nn.Sequential, nn.Sequential]:
    return build_networks(load_config("celeba", [parse_override(text) for text in settings]), 0)


def kinds(network: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in network]


@pytest.mark.parametrize(("image_size", "base"), [(28, 7), (32, 4), (64, 4), (128, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_published_networks_at_every_size(image_size: int, base: int, channels: int):
    generator, discriminator = networks(
        f"dataset.image_size={image_size}",
        f"dataset.channels={channels}",
        "network.generator_features=4",
        "network.discriminator_features=4",
    )
    images = generator(torch.randn(5, 100, 1, 1))
    assert images.shape == (5, channels, image_size, image_size)
    assert images.abs().max() <= 1
    assert generator[0](torch.randn(5, 100, 1, 1)).shape[2:] == (base, base)
    assert discriminator(images).shape == (5, 1, 1, 1)


@pytest.mark.parametrize("size", [*range(16, 513, 16), "[64,96]", "[16,512]", "[112,48]"])
def test_every_multiple_of_16_up_to_512(size: int | str):
    config = load_config(
        "celeba",
        [
            parse_override(f"dataset.image_size={size}"),
            parse_override("network.generator_features=1"),
            parse_override("network.discriminator_features=1"),
        ],
    )
    generator, discriminator = build_networks(config, 0)
    images = generator(torch.randn(2, 100, 1, 1))
    assert images.shape == (2, 3, *config.dataset.sides)
    assert discriminator(images).shape == (2, 1, 1, 1)
    assert min(generator[0].weight.shape[2:]) == (3 if min(config.dataset.sides) == 48 else 4) or (
        4 < min(generator[0].weight.shape[2:]) < 8
    )


@pytest.mark.parametrize(
    ("size", "base", "parameters"),
    [
        (16, (4, 4), (339_328, 136_448)),
        (28, (7, 7), (761_728, 140_672)),
        (32, (4, 4), (1_068_928, 663_296)),
        (48, (3, 3), (3_218_304, 2_761_984)),
        (64, (4, 4), (3_576_704, 2_765_568)),
        (80, (5, 5), (4_037_504, 2_770_176)),
        (96, (6, 6), (4_600_704, 2_775_808)),
        (112, (7, 7), (5_266_304, 2_782_464)),
        (128, (4, 4), (12_786_560, 11_164_416)),
        ("[64,96]", (4, 6), (3_986_304, 2_769_664)),
        ("[32,64]", (4, 8), (1_478_528, 667_392)),
    ],
)
def test_where_the_maps_start_and_how_many_parameters_that_takes(
    size: int | str, base: tuple[int, int], parameters: tuple[int, int]
):
    both = networks(f"dataset.image_size={size}")
    assert tuple(both[0][0].weight.shape[2:]) == base
    counts = tuple(sum(each.numel() for each in network.parameters()) for network in both)
    assert counts == parameters


def test_channels_stop_growing_at_16_times_those_next_to_the_image():
    generator, discriminator = networks(
        "dataset.image_size=512",
        "network.generator_features=2",
        "network.discriminator_features=3",
    )
    widths = [layer.out_channels for layer in generator if isinstance(layer, nn.ConvTranspose2d)]
    assert widths == [32, 32, 32, 16, 8, 4, 2, 3]
    widths = [layer.out_channels for layer in discriminator if isinstance(layer, nn.Conv2d)]
    assert widths == [3, 6, 12, 24, 48, 48, 48, 1]


def test_a_2x2_head_needs_maps_of_4_or_5_pixels():
    images = torch.randn(2, 3, 80, 64)
    discriminator = networks("network.discriminator_head=2x2", "dataset.image_size=[80,64]")[1]
    assert discriminator(images).shape == (2, 1, 2, 2)
    for size in (28, 48, 96):
        with pytest.raises(ConfigError, match="halved to 4 or 5 pixels"):
            networks("network.discriminator_head=2x2", f"dataset.image_size={size}")


@pytest.mark.parametrize("family", ["dense", "kim"])
def test_other_families_of_images_that_are_not_square(family: str):
    generator, discriminator = networks(
        f"network.family={family}", "dataset.image_size=[48,16]", "network.latent_size=4"
    )
    images = generator(torch.randn(2, 4, 1, 1))
    assert images.shape == (2, 3, 48, 16)
    assert discriminator(images).flatten(1).shape == (2, 1)


@pytest.mark.parametrize("family", ["compact", "dense"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_other_families(family: str, channels: int):
    generator, discriminator = networks(
        f"network.family={family}", "dataset.image_size=28", f"dataset.channels={channels}"
    )
    images = generator(torch.randn(5, 100, 1, 1))
    assert images.shape == (5, channels, 28, 28)
    assert discriminator(images).shape == (5, 1)


@pytest.mark.parametrize(("size", "hidden"), [(28, [14, 7, 4, 2]), (32, [16, 8, 4, 2])])
def test_kims_layers_halve_as_tensorflow_pads(size: int, hidden: list[int]):
    generator, discriminator = networks("network.family=kim", f"dataset.image_size={size}")
    images = torch.randn(2, 3, size, size)
    assert generator(torch.randn(2, 100, 1, 1)).shape == images.shape
    shapes, maps = [], images
    for layer in discriminator:
        maps = layer(maps)
        shapes += [maps.shape[-1]] if isinstance(layer, nn.Conv2d) else []
    assert shapes == [*hidden, 1]
    # `same` puts the odd row of padding after the image.
    padded = discriminator[0](images)
    assert torch.equal(padded[:, :, 1 : 1 + size, 1 : 1 + size], images)
    assert padded.shape[-1] == size + 3
    if size == 28:
        counts = [
            sum(parameter.numel() for parameter in network.parameters())
            for network in networks("network.family=kim", "dataset.image_size=28")
        ]
        assert counts == [4_512_323, 4_309_505]


def test_which_layers_of_the_discriminator_have_batch_norm():
    hidden = {
        "all_but_first": ["Conv2d", "LeakyReLU", *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3],
        "all": ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 4,
        "none": ["Conv2d", "LeakyReLU"] * 4,
    }
    for choice, expected in hidden.items():
        _, discriminator = networks(f"network.discriminator_batch_norm={choice}")
        assert kinds(discriminator) == [*expected, "Conv2d"]


def test_the_head_of_the_discriminator_and_its_outputs():
    images = torch.randn(5, 3, 64, 64)
    for settings, shape in {
        ("network.discriminator_head=2x2",): (5, 1, 2, 2),
        ("loss.name=softmax",): (5, 2, 1, 1),
        ("loss.name=softmax", "network.discriminator_head=2x2"): (5, 2, 2, 2),
    }.items():
        assert networks(*settings)[1](images).shape == shape


def test_batch_norm_has_the_epsilon_and_the_momentum_of_the_configuration():
    for family, size in (("dcgan", 64), ("compact", 28), ("dense", 28)):
        both = networks(
            f"network.family={family}",
            f"dataset.image_size={size}",
            "network.batch_norm_epsilon=0.25",
            "network.batch_norm_momentum=0.75",
        )
        norms = [
            layer
            for network in both
            for layer in network
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
        ]
        assert len(norms) >= 3
        assert {(norm.eps, norm.momentum) for norm in norms} == {(0.25, 0.75)}


def test_the_printed_typing_errors_are_ablations():
    generator, discriminator = networks("init.bn_mean=0.0", "init.init_discriminator=false")
    scales = [layer.weight for layer in generator if isinstance(layer, nn.BatchNorm2d)]
    assert max(scale.abs().mean().item() for scale in scales) < 0.03
    untouched = networks("init.scheme=default")[1]
    scales = [layer.weight for layer in discriminator if isinstance(layer, nn.BatchNorm2d)]
    assert all((scale == 1).all() for scale in scales)
    assert discriminator[0].weight.std().item() == pytest.approx(
        untouched[0].weight.std().item(), rel=0.1
    )


def test_spectral_norm_bounds_every_layer_of_the_discriminator_alone():
    generator, discriminator = networks(
        "stabilisers.spectral_norm=true", "network.discriminator_features=8"
    )
    images = torch.randn(2, 3, 64, 64)
    for _ in range(30):  # the power iteration converges
        discriminator(images)
    weights = [layer.weight for layer in discriminator if isinstance(layer, nn.Conv2d)]
    assert len(weights) == 5
    for weight in weights:
        norm = torch.linalg.matrix_norm(weight.flatten(1), ord=2).item()
        assert norm == pytest.approx(1.0, abs=0.05)
    assert not any("parametrizations" in name for name in generator.state_dict())


def test_dcgan_initialisation_has_the_published_statistics(small_config):
    config = small_config("network.generator_features=64", "network.discriminator_features=64")
    for network in build_networks(config, seed=3):
        for layer in network:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 50_000:
                assert abs(layer.weight.mean()) < 3e-4
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.mean().item() == pytest.approx(1.0, abs=0.01)
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.35)
                assert (layer.bias == 0).all()


def test_glorot_initialisation_is_that_of_tensorflow():
    """U(-a, a) with a = sqrt(6 / (inputs + outputs)), a kernel's area counted in both."""
    generator, discriminator = networks(
        "network.family=dense", "init.scheme=glorot", "dataset.image_size=28", "loss.name=softmax"
    )
    dense, conv = generator[1], discriminator[4]
    for layer, fans in ((dense, 100 + 7 * 7 * 128), (conv, (64 + 128) * 100)):
        limit = (6 / fans) ** 0.5
        assert 0.99 * limit < layer.weight.abs().max().item() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.01)
        assert (layer.bias == 0).all()


def test_default_initialisation_is_that_of_pytorch(small_config):
    config = small_config("init.scheme=default")
    generator, _ = build_networks(config, seed=3)
    torch.manual_seed(3)
    expected = dcgan.build_generator(config.dataset, config.network)
    for name, value in expected.state_dict().items():
        assert torch.equal(generator.state_dict()[name], value), name


def test_building_networks_leaves_the_global_generator_alone(small_config):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build_networks(small_config(), seed=9)
    assert torch.equal(torch.rand(3), expected)
