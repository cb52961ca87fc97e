"""A small configuration that trains in a second, and its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config
from dcgan.evaluation.features import classifier

SMALL = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    "network.latent_size=8",
    "optimizer.lr=2e-4",
    "training.epochs=2",
    "training.batch_size=16",
    "images.every_steps=3",
    "images.count=9",
)


@pytest.fixture(autouse=True)
def _without_packaged_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inception takes a tenth of a second per image: only its own tests use it."""
    monkeypatch.setattr("dcgan.evaluation.features.inception.find_archive", lambda: None)


@pytest.fixture(scope="session", autouse=True)
def _a_short_training_of_classifiers() -> Iterator[None]:
    """Enough for the digits, of which a classifier with these settings knows 98%."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "IMAGES_SEEN", 10_000)
        yield


@pytest.fixture
def few_projections(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the sliced Wasserstein distance, of which all would take a second per evaluation."""
    monkeypatch.setattr("dcgan.evaluation.metrics.image_space.PROJECTIONS", 16)


@pytest.fixture
def small_config() -> Callable[..., Config]:
    """`digits` with tiny networks; further settings as `key=value`."""

    def build(*settings: str) -> Config:
        return load_config("digits", [parse_override(text) for text in (*SMALL, *settings)])

    return build


@pytest.fixture
def pixels() -> Tensor:
    """uint8 (40, 1, 32, 32): two full batches of 16 and one of 8."""
    source = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (40, 1, 32, 32), dtype=torch.uint8, generator=source)
