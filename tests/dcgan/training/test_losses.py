"""Every loss against its paper's formula, written out number by number."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from dcgan.config.schema import LOSS_TRAITS, Loss
from dcgan.training.losses import (
    BCE,
    HINGE,
    LEAST_SQUARES,
    LOSSES,
    SOFTMAX,
    WASSERSTEIN,
    gradient_penalty,
)

LOGITS = [-3.0, -0.5, 0.25, 2.0]
LABELS = [1.0, 0.0, 0.9, 1.0]


def column() -> Tensor:
    return torch.tensor(LOGITS, dtype=torch.float64).view(-1, 1)


def labels() -> Tensor:
    return torch.tensor(LABELS, dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_each_loss_has_formulas_and_traits_and_can_be_chosen():
    names = get_args(Loss.model_fields["name"].annotation)
    assert list(names) == list(LOSSES) == list(LOSS_TRAITS)


def test_binary_cross_entropy():
    expected = mean(
        [
            -(y * math.log(sigmoid(x)) + (1 - y) * math.log(1 - sigmoid(x)))
            for x, y in zip(LOGITS, LABELS, strict=True)
        ]
    )
    assert BCE.discriminator(column(), labels()).item() == pytest.approx(expected, rel=1e-12)
    fooled = mean([-math.log(sigmoid(x)) for x in LOGITS])
    assert BCE.generator(column()).item() == pytest.approx(fooled, rel=1e-12)
    assert BCE.score(column()).item() == pytest.approx(mean([sigmoid(x) for x in LOGITS]))


def test_softmax_over_two_classes():
    logits = torch.tensor([[1.0, -3.0], [0.2, 0.4]], dtype=torch.float64)
    real = [math.exp(b) / (math.exp(a) + math.exp(b)) for a, b in logits.tolist()]
    told = torch.tensor([1.0, 0.0], dtype=torch.float64)
    expected = mean([-math.log(real[0]), -math.log(1 - real[1])])
    assert SOFTMAX.discriminator(logits, told).item() == pytest.approx(expected, rel=1e-12)
    fooled = mean([-math.log(p) for p in real])
    assert SOFTMAX.generator(logits).item() == pytest.approx(fooled, rel=1e-12)
    assert SOFTMAX.score(logits).item() == pytest.approx(mean(real))


def test_hinge():
    told = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    expected = mean([1 + 3.0, 1 - 0.5, 1 - 0.25, 1 + 2.0])
    assert HINGE.discriminator(column(), told).item() == pytest.approx(expected)
    assert HINGE.discriminator(torch.tensor([[5.0]]), torch.ones(1)).item() == 0
    assert HINGE.generator(column()).item() == pytest.approx(-mean(LOGITS))


def test_least_squares():
    expected = mean([(x - y) ** 2 / 2 for x, y in zip(LOGITS, LABELS, strict=True)])
    assert LEAST_SQUARES.discriminator(column(), labels()).item() == pytest.approx(expected)
    fooled = mean([(x - 1) ** 2 / 2 for x in LOGITS])
    assert LEAST_SQUARES.generator(column()).item() == pytest.approx(fooled)


def test_wasserstein():
    told = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    expected = mean([3.0, -0.5, -0.25, 2.0])
    assert WASSERSTEIN.discriminator(column(), told).item() == pytest.approx(expected)
    assert WASSERSTEIN.generator(column()).item() == pytest.approx(-mean(LOGITS))
    assert WASSERSTEIN.score(column()).item() == pytest.approx(mean(LOGITS))


@pytest.mark.parametrize("loss", [BCE, HINGE, LEAST_SQUARES, WASSERSTEIN])
def test_several_outputs_an_image_are_averaged(loss):
    logits = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    told = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    apart = logits.flatten().view(-1, 1)
    repeated = told.repeat_interleave(4)
    torch.testing.assert_close(
        loss.discriminator(logits, told), loss.discriminator(apart, repeated)
    )
    torch.testing.assert_close(loss.generator(logits), loss.generator(apart))
    torch.testing.assert_close(loss.score(logits), loss.score(apart))


def test_softmax_averages_over_several_outputs_too():
    logits = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    told = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    apart = logits.permute(0, 2, 3, 1).reshape(-1, 2)
    repeated = told.repeat_interleave(4)
    torch.testing.assert_close(
        SOFTMAX.discriminator(logits, told), SOFTMAX.discriminator(apart, repeated)
    )


def test_the_penalty_of_a_linear_critic_is_known():
    """The gradient of a linear critic is its weight, wherever it is taken."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1, bias=False)).double()
    source = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(5, 3, 2, 2, dtype=torch.float64) for _ in range(2))
    penalty = gradient_penalty(critic, real, fake, source)
    expected = (critic[1].weight.norm() - 1) ** 2
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    assert critic[1].weight.grad is not None


def test_the_penalty_is_taken_between_real_images_and_fakes():
    seen: list[Tensor] = []

    class Critic(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.detach())
            return images.flatten(1).sum(dim=1, keepdim=True)

    source = torch.Generator().manual_seed(0)
    gradient_penalty(Critic(), torch.ones(100, 1, 2, 2), torch.zeros(100, 1, 2, 2), source)
    (between,) = seen
    assert (between.flatten(1).std(dim=1) == 0).all()  # one point a line
    assert 0 <= between.min() < 0.1
    assert 0.9 < between.max() <= 1
