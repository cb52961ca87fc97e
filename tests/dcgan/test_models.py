"""The networks against the published ones, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan.models import build_discriminator, build_generator, build_networks


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_networks_have_the_published_parameter_counts():
    assert parameters(build_generator(64, 3, 100, 64)) == 3_576_704
    assert parameters(build_discriminator(64, 3, 64)) == 2_765_568


def test_the_generator_at_64_pixels_is_the_published_one():
    convolutions = [
        layer for layer in build_generator(64, 3, 100, 64) if isinstance(layer, nn.ConvTranspose2d)
    ]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        (100, 512),
        (512, 256),
        (256, 128),
        (128, 64),
        (64, 3),
    ]
    assert all(layer.kernel_size == (4, 4) and layer.bias is None for layer in convolutions)
    assert [layer.stride[0] for layer in convolutions] == [1, 2, 2, 2, 2]
    assert [layer.padding[0] for layer in convolutions] == [0, 1, 1, 1, 1]
    kinds = [type(layer).__name__ for layer in build_generator(64, 3, 100, 64)]
    assert kinds == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4 + ["ConvTranspose2d", "Tanh"]


def test_the_discriminator_at_64_pixels_is_the_published_one():
    network = build_discriminator(64, 3, 64)
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        (3, 64),
        (64, 128),
        (128, 256),
        (256, 512),
        (512, 1),
    ]
    assert all(layer.kernel_size == (4, 4) and layer.bias is None for layer in convolutions)
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 2, 1]
    kinds = [type(layer).__name__ for layer in network]
    assert kinds == [
        "Conv2d",
        "LeakyReLU",
        *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3,
        "Conv2d",
        "Flatten",
    ]
    assert all(layer.negative_slope == 0.2 for layer in network if isinstance(layer, nn.LeakyReLU))


@pytest.mark.parametrize("image_size", [32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_range(image_size: int, channels: int):
    images = build_generator(image_size, channels, 10, 4)(torch.randn(5, 10, 1, 1))
    assert images.shape == (5, channels, image_size, image_size)
    assert images.abs().max() <= 1
    assert build_discriminator(image_size, channels, 4)(images).shape == (5,)


def test_an_image_size_that_does_not_double_from_4_is_refused():
    with pytest.raises(ValueError, match="48"):
        build_generator(48, 3, 100, 64)


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


def test_default_initialisation_is_that_of_pytorch(small_config):
    generator, _ = build_networks(small_config("init.scheme=default"), seed=3)
    torch.manual_seed(3)
    expected = build_generator(32, 1, 8, 4)
    for name, value in expected.state_dict().items():
        assert torch.equal(generator.state_dict()[name], value), name


def test_building_networks_leaves_the_global_generator_alone(small_config):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build_networks(small_config(), seed=9)
    assert torch.equal(torch.rand(3), expected)
