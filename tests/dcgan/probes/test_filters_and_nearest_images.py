"""What D's features respond to, and which training images are nearest to fakes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dcgan.config.loading import load_config, parse_override
from dcgan.data.scaling import to_unit_range
from dcgan.evaluation.errors import EvaluationError
from dcgan.models import build_networks
from dcgan.probes import nearest_images
from dcgan.probes.filters import first_filters, strongest_responses
from dcgan.probes.nearest_images import nearest_training_images

SOURCE = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8, generator=SOURCE)


def discriminator(family: str) -> nn.Sequential:
    settings = (f"network.family={family}", "dataset.image_size=28", "dataset.channels=1")
    return build_networks(load_config("celeba", [parse_override(each) for each in settings]), 0)[1]


@pytest.mark.usefixtures("float64")
def test_the_strongest_images_of_the_last_hidden_convolution() -> None:
    network = discriminator("compact").eval()
    found = strongest_responses(network, PIXELS, features=3, images=4)
    assert found.images.shape == found.gradients.shape == (3, 4, 1, 28, 28)
    with torch.no_grad():
        maxima = network[:4](to_unit_range(PIXELS)).amax((2, 3))
    for feature in found.features:
        best = maxima[:, feature].argsort(descending=True)[:4]
        assert torch.equal(found.images[feature], to_unit_range(PIXELS[best]))


def test_gradients_are_guided_where_they_are_negative() -> None:
    """Two layers by hand: only what is positive goes back through the nonlinearity."""
    network = nn.Sequential(
        nn.Conv2d(1, 3, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(3, 1, 1, bias=False), nn.LeakyReLU(0.2, inplace=True), nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, 3.0, -1.0]).view(3, 1, 1, 1))
        network[2].weight.copy_(torch.tensor([2.0, -0.5, 0.7]).view(1, 3, 1, 1))
    pixels = torch.full((1, 1, 2, 2), 200, dtype=torch.uint8)
    found = strongest_responses(network, pixels, features=1, images=1)
    # Plainly it would be 2 * 1 - 0.5 * 3 - 0.2 * 0.7 = 0.36. Guided, the second way is shut, since
    # its gradient is negative, and the third, since it is not active: 2 * 1.
    assert found.gradients.sum().item() == 2.0


def test_nothing_goes_back_where_the_nonlinearity_was_negative() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(2, 1, 1, bias=False), nn.LeakyReLU(0.2), nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, -3.0]).view(2, 1, 1, 1))
        network[2].weight.copy_(torch.tensor([2.0, 0.5]).view(1, 2, 1, 1))
    pixels = torch.full((1, 1, 2, 2), 200, dtype=torch.uint8)
    found = strongest_responses(network, pixels, features=1, images=1)
    # The second way is at the negative side: a slope of 0.2 would add 0.5 * 0.2 * -3.
    assert found.gradients.sum().item() == 2.0


def test_looking_changes_nothing_and_kims_network_is_understood() -> None:
    network = discriminator("kim").train()
    before = [each.clone() for each in network.state_dict().values()]
    found = strongest_responses(network, PIXELS, features=2, images=2)
    assert found.gradients.abs().sum() > 0
    assert network.training
    assert all(map(torch.equal, before, network.state_dict().values()))
    assert first_filters(network).shape == (64, 1, 5, 5)


def test_fewer_images_than_are_shown_are_all_shown() -> None:
    found = strongest_responses(discriminator("kim"), PIXELS[:3], features=2, images=4)
    assert found.images.shape[:2] == found.gradients.shape[:2] == (2, 3)


def test_copies_among_the_training_images_do_not_make_their_distance_0() -> None:
    def features(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).float()

    fakes, once = PIXELS[:2] // 2, PIXELS
    twice = torch.cat([once, once])
    of_once, of_twice = (
        nearest_training_images(fakes, each, features, "features", 1) for each in (once, twice)
    )
    assert of_twice.typical == of_once.typical
    assert of_twice.distance_ratios == of_once.distance_ratios
    same = nearest_training_images(fakes, once[[0, 0, 0]], features, "features", 1)
    assert all(map(math.isnan, same.distance_ratios.values()))


def test_a_copy_is_found_by_pixels_and_by_features() -> None:
    pixels = PIXELS // 8  # so dark that float32 holds every square and sum exactly
    fakes = torch.stack([pixels[7], pixels[3].flip(-1)])

    def features(images: torch.Tensor) -> torch.Tensor:
        """Blind to which way an image looks."""
        return (images + images.flip(-1).float()).flatten(1).float()

    found = nearest_training_images(fakes, pixels, features, "features", 3)
    assert found.nearest["features"].shape == (2, 3, 1, 28, 28)
    assert torch.equal(found.nearest["pixels"][0, 0], pixels[7])
    assert torch.equal(found.nearest["features"][1, 0], pixels[3])
    assert found.distances["pixels"][0, 0] == 0
    assert found.distances["pixels"][1, 0] > 0.5 * found.typical["pixels"]
    assert (found.distances["pixels"].diff(dim=1) >= 0).all()


@pytest.mark.parametrize("block", [12, 3])
def test_blocks_of_training_images_find_the_same(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pixels of a large data set do not fit into memory as floats."""
    fakes, pixels = PIXELS[:6].flip(-1) // 8, torch.cat([PIXELS, PIXELS[:3]]) // 8

    def features(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, ::7].float()

    whole = nearest_training_images(fakes, pixels, features, "features", 4)
    monkeypatch.setattr(nearest_images, "_BLOCK", block)
    in_blocks = nearest_training_images(fakes, pixels, features, "features", 4)
    for space in ("features", "pixels"):
        torch.testing.assert_close(in_blocks.distances[space], whole.distances[space])
        assert torch.equal(in_blocks.nearest[space], whole.nearest[space])
        assert in_blocks.typical[space] == pytest.approx(whole.typical[space])
    with pytest.raises(EvaluationError, match="The 44 nearest of 43 images cannot be found"):
        nearest_training_images(fakes, pixels, features, "features", 44)
