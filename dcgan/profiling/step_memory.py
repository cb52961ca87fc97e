"""Memory and time of a training step, computed from its shapes before anything runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from dcgan.config.image_size import size_in_words
from dcgan.config.schema import Config, ConfigError
from dcgan.data.batches import OWN_MEMORY, gpu_memory
from dcgan.models.shapes import networks_and_inputs
from dcgan.training.device import synchronise
from dcgan.training.distributed import SINGLE_PROCESS, World
from dcgan.training.torchrun import processes_on_machine

_GIB = 2**30
_TRACED = 2
"""Images in the smallest batch whose shapes are traced: batch norm may need two."""

_COPIES_OF_WEIGHTS = 5
"""Weights, gradients, Adam's two moments, and weights as convolutions lay them out."""

_TEMPORARY = 1.0
"""Temporary bytes of layers per byte that autograd keeps: an estimate."""

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_PRODUCT, _PRODUCTS = 1_024, 4
"""Size and number of the matrix products by which the speed of a device is measured."""


@dataclass(frozen=True)
class StepCost:
    """The memory that a training step takes.

    Attributes:
        fixed_bytes: Bytes of the networks and their optimizers, and what else does not depend on
            the batch.
        bytes_per_image: Bytes of each image of a batch: activations, gradients and copies.
    """

    fixed_bytes: int
    bytes_per_image: int

    def total_bytes(self, images: int) -> int:
        """Bytes of a step with this many images on one device."""
        return self.fixed_bytes + images * self.bytes_per_image


@lru_cache(maxsize=8)
def step_cost(config: Config) -> StepCost:
    """Trace the shapes of a step through both networks.

    The bytes of weights and those that autograd keeps are exact; temporary ones are estimated.
    """
    # One image more than the smallest batch tells what grows with the batch from what does not.
    (generator, latents), (discriminator, images) = networks_and_inputs(config, _TRACED + 1)
    weights = [_bytes_of(each) for each in (generator, discriminator)]
    fixed = _COPIES_OF_WEIGHTS * sum(weights)
    if config.stabilisers.generator_ema:
        fixed += weights[0]
    # With a penalty on D's gradient, its backward pass is kept as well.
    passes_at_once = 3 if config.loss.traits.gradient_penalty else 1
    by_generator, by_discriminator = (
        _kept_bytes(network, inputs)
        for network, inputs in ((generator, latents), (discriminator, images))
    )
    kept_whatever_batch, kept_per_image = (
        of_generator + passes_at_once * of_discriminator
        for of_generator, of_discriminator in zip(by_generator, by_discriminator, strict=True)
    )
    if config.training.precision == "bf16":
        kept_whatever_batch, kept_per_image = kept_whatever_batch // 2, kept_per_image // 2
    kept_per_image += 4 * images[0].nbytes  # real images, fakes, and both as D sees them
    return StepCost(
        fixed + round(kept_whatever_batch * (1 + _TEMPORARY)),
        round(kept_per_image * (1 + _TEMPORARY)),
    )


def flops_per_image(config: Config) -> int:
    """Floating-point operations of all passes of a step, for each image of a batch."""
    from torch.utils.flop_counter import FlopCounterMode  # imports what `meta` does

    counts: list[int] = []
    for network, inputs in networks_and_inputs(config, _TRACED, torch.device("meta")):
        with FlopCounterMode(display=False) as counter:
            network(inputs).sum().backward()
        counts.append(counter.get_total_flops())
    # D passes over real images and fakes, and once more over fakes for G.
    return (counts[0] + 3 * counts[1]) // _TRACED


def _bytes_of(network: nn.Module) -> int:
    return sum(each.nbytes for each in network.parameters())


def _kept_bytes(network: nn.Module, inputs: Tensor) -> tuple[int, int]:
    """Bytes that autograd keeps of a forward pass: whatever the batch, and of each image.

    Spectral norm's weights are among the first, and may be larger than all maps of an image.
    """
    fewer, more = (
        _kept_of_batch(network, inputs[:count].clone()) for count in (_TRACED, _TRACED + 1)
    )
    return fewer - (more - fewer) * _TRACED, more - fewer


def _kept_of_batch(network: nn.Module, inputs: Tensor) -> int:
    own = {each.untyped_storage()._cdata for each in network.state_dict(keep_vars=True).values()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network(inputs)
    return sum(each.nbytes() for each in kept.values())


def check_memory(config: Config, device: torch.device, world: World = SINGLE_PROCESS) -> None:
    """Refuse a training whose steps need more memory than the device has.

    Args:
        config: The recipe.
        device: Where to train.
        world: The processes that train together, each on a part of every batch.

    Raises:
        ConfigError: They need more; the message says how much, and which batch would fit.
    """
    _, total = memory_of(device)
    if problem := _lack_of_memory(config, device, world, total, "has"):
        raise ConfigError(problem)


def memory_warning(
    config: Config, device: torch.device, world: World = SINGLE_PROCESS
) -> str | None:
    """A warning with numbers if steps need more memory than is free now; None otherwise.

    Args:
        config: The recipe.
        device: Where to train.
        world: The processes that train together, each on a part of every batch.
    """
    free, _ = memory_of(device)
    return _lack_of_memory(config, device, world, free, "now has")


def _lack_of_memory(
    config: Config, device: torch.device, world: World, memory: int, verb: str
) -> str | None:
    cost = step_cost(config)
    batch = world.images_of(config.training.batch_size)
    # Processes on one machine share its RAM, while each has a GPU of its own.
    sharing = 1 if device.type in OWN_MEMORY else processes_on_machine()
    memory //= sharing
    needed = cost.total_bytes(batch)
    if needed <= memory:
        return None
    seconds = flops_per_image(config) * batch / _operations_per_second(device)
    fitting = max(0, memory - cost.fixed_bytes) // cost.bytes_per_image * world.size
    remedy = (
        f"About {fitting:,} images fit: training.batch_size = {fitting}."
        if fitting >= 2
        else "No batch fits: choose a smaller dataset.image_size or fewer network features."
    )
    return (
        f"A step of {batch:,} images of {size_in_words(config.dataset.image_size)} takes about "
        f"{needed / _GIB:.1f} GiB of memory ({cost.fixed_bytes / _GIB:.1f} for the networks and "
        f"{cost.bytes_per_image / _GIB:.2g} per image) and {_in_words(seconds)} or more; {device} "
        f"{verb} {memory / _GIB:.1f} GiB{f' for each of {sharing} processes' * (sharing > 1)}.\n"
        f"{remedy}"
    )


def _in_words(seconds: float) -> str:
    if seconds >= 100:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"


def memory_of(device: torch.device) -> tuple[int, int]:
    """Free and total bytes of a device, or of RAM for a device without separate memory."""
    if device.type in OWN_MEMORY:
        return gpu_memory(device)
    memory = psutil.virtual_memory()
    try:
        limit = int(_CGROUP_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):  # `max` means no limit
        limit = memory.total
    return min(memory.available, limit), min(memory.total, limit)


def _operations_per_second(device: torch.device) -> float:
    """The fastest of a few matrix products."""
    factor = torch.rand(_PRODUCT, _PRODUCT, device=device)
    seconds = []
    for _ in range(_PRODUCTS):
        start = time.perf_counter()
        factor @ factor
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * float(_PRODUCT) ** 3 / min(seconds)
