"""Events that describe a run, emitted before its first step."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torchinfo
from torch import Tensor, nn

from dcgan.config.loading import to_toml
from dcgan.config.schema import Config
from dcgan.data.batches import some_images
from dcgan.data.image_set import ImageSet
from dcgan.data.scaling import to_unit_range
from dcgan.models.shapes import networks_and_inputs
from dcgan.run_folder import RECIPE_FILE
from dcgan.sampling import image_grid
from dcgan.training.device import device_name
from dcgan.training.precision import describe_arithmetic
from tracking import provenance
from tracking.atomic_files import atomic_write
from tracking.clock import now_ms
from tracking.events import (
    ARTIFACTS,
    CONFIG,
    DATASET,
    DISCRIMINATOR_ARCH,
    GENERATOR_ARCH,
    GIT_DIFF,
    SYS,
    Event,
    Fields,
    File,
    Image,
    Text,
)
from tracking.fields import flatten
from tracking.redaction import make_redactor

_CARD_IMAGES = 9
COMMAND = f"{SYS}/command"
"""The field with the command line, which is written after everything else that describes a run."""

THREADS = f"{SYS}/threads"
"""The field with the number of PyTorch's threads, on which the last bits of a sum depend."""


def describe_configuration(config: Config, images: ImageSet, folder: Path) -> Iterator[Event]:
    """Describe what is trained: configuration, dataset card, nine images, both architectures.

    The recipe, which `dcgan train` can run again, is written to the run's folder first.

    Args:
        config: The run's configuration.
        images: The images that it trains on.
        folder: The run's folder.

    Yields:
        The events, all at step 0.
    """
    fields = flatten(config.model_dump(mode="json"), CONFIG)
    yield Fields(fields | flatten({"dataset": dataclasses.asdict(images.card)}, CONFIG))
    yield Image(
        DATASET, 0, now_ms(), image_grid(to_unit_range(some_images(images.pixels, _CARD_IMAGES)))
    )
    yield write_recipe(config, folder)
    networks = networks_and_inputs(config, config.training.batch_size)
    for name, network in zip((GENERATOR_ARCH, DISCRIMINATOR_ARCH), networks, strict=True):
        yield Text(name, describe_network(*network))


def write_recipe(config: Config, folder: Path) -> File:
    """Write the recipe that repeats a run to its folder, and return the event that says so."""
    recipe = folder / RECIPE_FILE
    recipe.parent.mkdir(exist_ok=True)
    with atomic_write(recipe) as temporary:
        temporary.write_text(make_redactor()(to_toml(config)), encoding="utf-8")
    return File(f"{ARTIFACTS}/recipe", recipe)


def describe_device(config: Config, device: torch.device) -> Fields:
    """Describe what a run is trained on, and in which arithmetic."""
    name = str(device) if device.type == "cpu" else f"{device}: {device_name(device)}"
    arithmetic = describe_arithmetic(config, device)
    return Fields(
        {"sys/device": name, "sys/arithmetic": arithmetic, THREADS: torch.get_num_threads()}
    )


def describe_environment(arguments: Sequence[str]) -> Iterator[Event]:
    """Describe the code version, the packages, the machine and the command line."""
    fields, diff = provenance.describe(arguments)
    if diff:
        yield Text(GIT_DIFF, diff)
    yield Fields(fields)


def describe_network(network: nn.Module, inputs: Tensor) -> str:
    """PyTorch's own text, then torchinfo's table of shapes and parameter counts.

    Args:
        network: It is left as it is.
        inputs: A batch; on `meta` only its shapes matter.
    """
    table = torchinfo.summary(
        copy.deepcopy(network).to(inputs.device),
        input_data=inputs,
        col_names=("input_size", "output_size", "kernel_size", "num_params", "mult_adds"),
        device=inputs.device,
        verbose=0,
    )
    return f"{network}\n\n{table}\n"
