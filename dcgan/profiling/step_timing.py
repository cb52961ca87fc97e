"""How long a recipe takes on this machine, and whether torch.compile pays, from short trials."""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dcgan.cache_dir import cache_folder
from dcgan.config.loading import to_toml
from dcgan.config.schema import Config
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.device import choose_device, device_name, synchronise
from dcgan.training.loop import train
from dcgan.training.schedule import total_steps
from tracking.atomic_files import atomic_write

TRIAL_STEPS = 20
"""Timed steps of a trial; its first step is not timed."""


def cached_run_seconds(config: Config, device: str = "auto") -> float | None:
    """A run's duration in seconds, from an earlier trial on this machine; None without one."""
    file = _timing_file(config, choose_device(device))
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError):
        return None


def measure_run_seconds(config: Config, device: str = "auto") -> float:
    """A run's duration in seconds, from a trial of 20 steps on random images; it is cached.

    The recipe must state its number of images in `source.images`. The median step counts, so
    that the first steps, which are slower, do not.
    """
    chosen_device = choose_device(device)
    steps = total_steps(config, config.source.images or 1)
    seconds = _time_steps(config, chosen_device).step * steps
    file = _timing_file(config, chosen_device)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps({"recipe": config.name, "seconds": seconds}))
    except OSError:  # without a cache it is measured again next time
        pass
    return seconds


@dataclass(frozen=True)
class CompileComparison:
    """Steps of a recipe with and without torch.compile, in seconds.

    Attributes:
        plain: The median step without it.
        compiled: The median step with it; None if it failed.
        start: Time until the first compiled step was done; None if it failed.
        failure: Why torch.compile failed; None if it worked.
        pays: Whether compiling saves more time over the whole training than it takes.
    """

    plain: float
    compiled: float | None
    start: float | None
    failure: str | None
    pays: bool

    def __str__(self) -> str:
        if self.compiled is None or self.start is None:
            return f"torch.compile is not used, because it fails here: {self.failure}"
        return (
            f"torch.compile {'is used' if self.pays else 'is not used'}: a step takes "
            f"{1e3 * self.compiled:.3g} ms with it and {1e3 * self.plain:.3g} ms without, "
            f"and it takes {self.start:.0f} s to start."
        )


def try_compiling(config: Config, device: torch.device, steps: int) -> CompileComparison:
    """Train 20 steps on random images with and without torch.compile.

    The training to come is not affected: the trials have their own networks and random
    generators.

    Args:
        config: The recipe.
        device: Where to train.
        steps: Steps of the training to come, which must make up for the time to compile.
    """
    plain = _time_steps(config.replace("training", compile=False), device)
    try:
        compiled = _time_steps(config.replace("training", compile=True), device)
    except Exception as error:  # no compiler, or a bug anywhere in the compiler's stack
        failure = (str(error).strip() or type(error).__name__).splitlines()[0]
        return CompileComparison(plain.step, None, None, failure, pays=False)
    finally:
        torch.compiler.reset()
    pays = compiled.start + steps * compiled.step < steps * plain.step
    return CompileComparison(plain.step, compiled.step, compiled.start, None, pays)


def random_images(config: Config, count: int) -> Tensor:
    """Noise from a fixed seed, uint8 (count, C, H, W), of the recipe's image shape."""
    dataset = config.dataset
    shape = (count, dataset.channels, *dataset.sides)
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng)


def limit_steps(config: Config, steps: int) -> Config:
    """The same configuration for `steps` steps, with image grids only at its start and end."""
    config = config.replace("training", epochs=None, steps=steps)
    return config.replace("images", every_steps=None, every_epochs=10**6)


def without_cuda_graph(config: Config) -> Config:
    """The same configuration, with steps that run eagerly on every device."""
    return config.replace("training", cuda_graph=False)


@dataclass(frozen=True)
class _StepTimes:
    """Results of a trial.

    Attributes:
        start: Seconds until the first step was done.
        step: Seconds of the median step after the first.
    """

    start: float
    step: float


def _time_steps(config: Config, device: torch.device) -> _StepTimes:
    images_per_step = config.training.batch_size * config.training.discriminator_batches
    step_ends: list[float] = []

    def record_step_end() -> bool:
        synchronise(device)
        step_ends.append(time.perf_counter())
        return False

    # With a short last batch, as most data sets have.
    pixels = random_images(config, 4 * images_per_step - config.training.batch_size // 2)
    began = time.perf_counter()
    train(
        limit_steps(config, TRIAL_STEPS + 1),
        pixels,
        device=device,
        emit=lambda event: None,
        save=no_checkpoints,
        stopping=record_step_end,
    )
    seconds = [end - begin for begin, end in itertools.pairwise(step_ends)]
    return _StepTimes(step_ends[0] - began, statistics.median(seconds))


def _timing_file(config: Config, device: torch.device) -> Path:
    """The cache file for this recipe, machine, version of PyTorch and number of threads."""
    chip = device_name(device)
    inputs = (
        to_toml(config),
        device.type,
        chip,
        platform.node(),
        torch.__version__,
        torch.get_num_threads(),
    )
    key = hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]
    return (
        cache_folder() / "trials" / f"{key}.json"
    )  # a recipe's name may not be valid as a file name
