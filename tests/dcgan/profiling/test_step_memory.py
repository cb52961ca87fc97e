"""What a step takes, and that one which does not fit is refused with numbers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dcgan.config.loading import load_config, parse_override, recipe_names
from dcgan.config.schema import Config, ConfigError
from dcgan.jobs import opening, prepare
from dcgan.jobs.prepare import RunMetadata
from dcgan.profiling import step_memory
from dcgan.profiling.step_memory import (
    check_memory,
    flops_per_image,
    memory_warning,
    step_cost,
)
from dcgan.training.distributed import SINGLE_PROCESS

LARGE = (
    "dataset.image_size=512",
    "network.generator_features=8",
    "network.discriminator_features=8",
)
CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Sets the memory that is free, and that there is, in GiB."""

    def has(free: float, total: float) -> None:
        sizes = round(free * GIB), round(total * GIB)
        monkeypatch.setattr(step_memory, "memory_of", lambda device: sizes)

    return has


def celeba(*settings: str) -> Config:
    return load_config("celeba", [parse_override(text) for text in settings])


def test_what_autograd_keeps_and_computes_is_counted_by_hand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(step_memory, "_TEMPORARY", 0.0)
    config = celeba(
        "dataset.image_size=[16,32]",
        "network.latent_size=3",
        "network.generator_features=2",
        "network.discriminator_features=2",
    )
    cost = step_cost(config)
    # G: z to 4 x 4x8, to 2 x 8x16, to 3 x 16x32. D: back to 2 x 8x16, to 4 x 4x8, to 1.
    g_maps, d_maps = (4 * 4 * 8, 2 * 8 * 16), (2 * 8 * 16, 4 * 4 * 8)
    image = 3 * 16 * 32
    g_weights = 3 * 4 * 32 + 4 * 2 * 16 + 2 * 3 * 16
    d_weights = 3 * 2 * 16 + 2 * 4 * 16 + 4 * 32
    norms = 2 * (4 + 2) + 2 * 4
    statistics = 2 * (4 + 2) + 2 * 4  # batch norm's means and deviations
    assert cost.fixed_bytes == 5 * 4 * (g_weights + d_weights + norms) + 4 * statistics
    # Before and after batch norm, of which ReLU needs no copy; the image for tanh, and for D.
    floats = 3 + 2 * sum(g_maps) + image + image + d_maps[0] + 2 * d_maps[1]
    assert cost.bytes_per_image == 4 * (floats + 4 * image)
    g_forward = 3 * 4 * 32 + 4 * 2 * 16 * 32 + 2 * 3 * 16 * 128
    d_forward = 3 * 2 * 16 * 128 + 2 * 4 * 16 * 32 + 4 * 32
    # Backward twice as much, but for the gradient of the input.
    g_all = 3 * g_forward - 3 * 4 * 32
    d_all = 3 * d_forward - 3 * 2 * 16 * 128
    assert flops_per_image(config) == 2 * (g_all + 3 * d_all)


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_fits_a_small_machine(
    recipe: str, memory: Callable[[float, float], None]
) -> None:
    memory(2, 2)
    check_memory(load_config(recipe, []), CPU)


def test_variants_that_take_more_or_less():
    small = ("dataset.image_size=32", "network.discriminator_batch_norm=none")
    plain = step_cost(celeba(*small))
    ema = step_cost(celeba(*small, "stabilisers.generator_ema=0.9"))
    bf16 = step_cost(celeba(*small, "training.precision=bf16"))
    penalty = step_cost(celeba(*small, "loss.name=wgan_gp"))
    assert ema == dataclasses.replace(plain, fixed_bytes=ema.fixed_bytes)
    assert ema.fixed_bytes > plain.fixed_bytes
    assert bf16.bytes_per_image < plain.bytes_per_image < penalty.bytes_per_image


def test_normalised_weights_are_kept_once_and_not_for_each_image():
    plain = step_cost(celeba())
    normalised = step_cost(celeba("stabilisers.spectral_norm=true"))
    assert normalised.bytes_per_image == plain.bytes_per_image
    assert plain.fixed_bytes < normalised.fixed_bytes < 1.5 * plain.fixed_bytes


def test_what_does_not_fit_is_refused_before_images_are_read(
    memory: Callable[[float, float], None], tmp_path: Path
) -> None:
    memory(2, 2)
    config = celeba(*LARGE, "dataset.name=folder", "dataset.path=/nowhere")
    with pytest.raises(ConfigError) as refused:
        prepare.prepare(config, "cpu", tmp_path, (), RunMetadata())
    message = str(refused.value)
    assert re.search(
        r"A step of 128 images of 512x512 takes about 7\.\d GiB of memory \(0\.\d for the "
        r"networks and 0\.06\d? per image\) and \d+ (ms|s|min) or more; cpu has 2\.0 GiB\.",
        message,
    )
    (fitting,) = re.findall(r"About \d+ images fit: training.batch_size = (\d+)\.", message)
    check_memory(celeba(*LARGE, f"training.batch_size={fitting}"), CPU)
    with pytest.raises(ConfigError):
        more = int(fitting) + 1
        check_memory(celeba(*LARGE, f"training.batch_size={more}"), CPU)
    memory(0.1, 0.1)
    with pytest.raises(ConfigError, match=r"No batch fits: choose a smaller dataset\.image_size"):
        check_memory(config, CPU)


def test_each_of_several_processes_has_a_part_of_the_batch(
    memory: Callable[[float, float], None],
) -> None:
    memory(3, 3)
    config = celeba(*LARGE)
    with pytest.raises(ConfigError):
        check_memory(config, CPU)
    check_memory(config, CPU, dataclasses.replace(SINGLE_PROCESS, size=4))


def test_processes_on_one_machine_share_its_memory(
    memory: Callable[[float, float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(6, 6)
    config, world = celeba(*LARGE), dataclasses.replace(SINGLE_PROCESS, size=4)
    check_memory(config, CPU, world)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"of 32 images .* has 1\.5 GiB for each of 4 processes"):
        check_memory(config, CPU, world)
    check_memory(config, torch.device("cuda"), world)


def test_memory_that_others_have_taken_is_warned_of(memory: Callable[[float, float], None]) -> None:
    memory(2, 64)
    config = celeba(*LARGE)
    check_memory(config, CPU)
    warning = memory_warning(config, CPU)
    assert warning is not None
    assert "cpu now has 2.0 GiB." in warning
    assert opening.memory_warning is memory_warning
    memory(64, 64)
    assert memory_warning(config, CPU) is None


def test_the_memory_of_this_machine() -> None:
    free, total = step_memory.memory_of(CPU)
    assert 0 < free <= total


def test_the_speed_of_a_device_is_that_of_products_that_are_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited_for: list[torch.device] = []
    monkeypatch.setattr(step_memory, "_PRODUCT", 8)
    monkeypatch.setattr(step_memory, "synchronise", waited_for.append)
    assert step_memory._operations_per_second(CPU) > 0
    assert waited_for == [CPU] * step_memory._PRODUCTS
