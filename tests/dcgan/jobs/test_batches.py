"""Batches with which a recipe cannot be trained are refused before its first step."""

from __future__ import annotations

import pytest
import torch

from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config, ConfigError
from dcgan.jobs.prepare import check_batches
from dcgan.models import FAMILIES, build_networks
from dcgan.training.distributed import World

NARROW = ("network.generator_features=4", "network.discriminator_features=4")
NETWORKS = {
    **{f"{family}, 16 pixels": (family, 16) for family in FAMILIES if family != "compact"},
    "compact": ("compact", 28),
    "kim, 28 pixels": ("kim", 28),
    "kim, a wide image": ("kim", [16, 32]),
}


def configured(family: str, image_size: int | list[int], batch_size: int = 4) -> Config:
    settings = (
        f"network.family={family}",
        f"dataset.image_size={image_size}",
        f"training.batch_size={batch_size}",
    )
    return load_config("digits", [parse_override(text) for text in (*NARROW, *settings)])


def trains_on(config: Config, images: int) -> bool:
    """Whether both networks accept a batch of this size."""
    generator, discriminator = build_networks(config, seed=0)
    try:
        discriminator(generator(torch.zeros(images, config.network.latent_size, 1, 1)))
    except ValueError as error:
        assert "Expected more than 1 value per channel" in str(error)
        return False
    return True


@pytest.mark.parametrize("name", NETWORKS)
def test_a_last_batch_of_one_image_is_refused_where_the_networks_cannot_take_it(name: str):
    config = configured(*NETWORKS[name])
    assert trains_on(config, 2)
    check_batches(config, size=10)
    if trains_on(config, 1):
        check_batches(config, size=9)
    else:
        with pytest.raises(ConfigError, match=r"epoch of 9 images\s+would have only one"):
            check_batches(config, size=9)


@pytest.mark.parametrize(("size", "batch", "better"), [(9, 4, 5), (7, 2, 4), (3, 2, 3)])
def test_the_size_that_it_names_leaves_no_single_image(size: int, batch: int, better: int):
    with pytest.raises(ConfigError, match=f"such as {better}\\."):
        check_batches(configured("dense", 16, batch), size)
    check_batches(configured("dense", 16, better), size)


def test_each_process_needs_as_many_images_as_one_alone():
    check_batches(configured("kim", 16), size=8, world=World(rank=0, size=2))
    with pytest.raises(ConfigError, match=r"would have 3,\s+too few for 2 processes"):
        check_batches(configured("kim", 16), size=7, world=World(rank=0, size=2))
