"""Walks and arithmetic in latent space, with a G and a classifier that can be computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dcgan.config.schema import Network
from dcgan.probes.errors import ProbeError
from dcgan.probes.latent import arithmetic, interpolate
from dcgan.samples.latents import slerp
from dcgan.sampling import draw_latents


class _FirstIsBright(nn.Module):
    """Its images are as bright as the first number of z is large."""

    def forward(self, latents: Tensor) -> Tensor:
        return latents[:, :1].tanh().expand(-1, 1, 4, 4)


class _Unchanged(nn.Module):
    """Its images are the latents."""

    def forward(self, latents: Tensor) -> Tensor:
        return latents


def classify(images: Tensor) -> Tensor:
    """0 dark, 1 bright, 2 very bright."""
    level = images.mean((1, 2, 3))
    return (level > 0).long() + (level > 0.9).long()


@pytest.mark.usefixtures("float64")
def test_great_circles_keep_length_and_angle() -> None:
    source = torch.Generator().manual_seed(0)
    first, last = torch.randn(2, 5, 100, generator=source)
    middle = slerp(first, last, torch.tensor(0.5))
    torch.testing.assert_close(middle.norm(dim=1), (first.norm(dim=1) + last.norm(dim=1)) / 2)
    angles = [torch.cosine_similarity(middle, end) for end in (first, last)]
    torch.testing.assert_close(*angles)
    torch.testing.assert_close(slerp(first, last, torch.tensor(0.0)), first)
    torch.testing.assert_close(slerp(first, last, torch.tensor(1.0)), last)
    straight = torch.lerp(first, last, 0.5)
    assert (straight.norm(dim=1) < 0.85 * middle.norm(dim=1)).all(), "what a line would do"


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_a_way_begins_and_ends_at_its_latents(law: str) -> None:
    network = Network.model_validate({"latent_size": 20, "latent_law": law})
    images = interpolate(_FirstIsBright(), network, rows=3, columns=5, seed=4)
    assert images.shape == (3, 5, 1, 4, 4)
    first, last = draw_latents(6, network, torch.Generator().manual_seed(4)).chunk(2)
    torch.testing.assert_close(images[:, 0], _FirstIsBright()(first))
    torch.testing.assert_close(images[:, -1], _FirstIsBright()(last))
    if law == "uniform":
        middle = _FirstIsBright()((first + last) / 2)
        torch.testing.assert_close(images[:, 2], middle)


def test_the_difference_of_the_means_leads_to_the_class_and_chance_does_not() -> None:
    network = Network(latent_size=50)
    found = arithmetic(
        _FirstIsBright(), network, classify, from_class=0, to_class=1, strengths=[0.0, 1.0], rows=4
    )
    assert found.images.shape == (4, 2, 1, 4, 4)
    assert (found.images[:, 0] < 0).all(), "it begins with images of the class"
    assert found.shares[0] == found.control[0] == 0
    assert found.shares[1] > 0.6
    assert found.control[1] < 0.2
    assert found.starts == 500
    assert found.rank == 1, "no random direction does as well"


def test_a_difference_that_leads_nowhere_has_no_good_rank() -> None:
    """Classes that are scattered over latent space have no direction between them."""
    draws = torch.Generator().manual_seed(3)
    arbitrary = torch.randn(50, 64, generator=draws)

    def by_random_hash(images: Tensor) -> Tensor:
        latents = images.flatten(1)
        return ((latents @ arbitrary).sin().sum(1) > 0).long()

    found = arithmetic(
        _Unchanged(), Network(latent_size=50), by_random_hash, from_class=0, to_class=1,
        strengths=[0.0], rows=4, samples=1_000,
    )  # fmt: skip
    assert found.rank > 1


def test_a_class_that_is_hardly_drawn_is_told() -> None:
    with pytest.raises(ProbeError, match="0 for class three:"):
        arithmetic(
            _FirstIsBright(),
            Network(),
            classify,
            from_class=0,
            to_class=3,
            strengths=[1.0],
            samples=500,
            names=("zero", "one", "two", "three"),
        )
