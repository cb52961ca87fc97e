"""How long a recipe takes on this machine, and whether compiling pays, from trials of 20 steps."""

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
from dcgan.training.device import choose_device
from dcgan.training.loop import train
from dcgan.training.schedule import total_steps
from tracking.atomic_files import atomic_write

TRIAL_STEPS = 20


def known_seconds(config: Config, device: str = "auto") -> float | None:
    """The time of an earlier trial on this machine, None where there was none."""
    file = _timing_file(config, choose_device(device))
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError):
        return None


def expected_seconds(config: Config, device: str = "auto") -> float:
    """Train 20 steps on random images, and say what the whole run would take; remember it.

    The recipe must say in `source.images` how many images it has. The median step counts,
    so that the first ones, which are slower, do not.
    """
    chosen = choose_device(device)
    steps = total_steps(config, config.source.images or 1)
    seconds = _time_steps(config, chosen).step * steps
    file = _timing_file(config, chosen)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps({"recipe": config.name, "seconds": seconds}))
    except OSError:  # it is measured again the next time
        pass
    return seconds


@dataclass(frozen=True)
class CompileComparison:
    """Steps of a recipe as it is and by torch.compile, in seconds.

    plain, compiled: the median step. start: until the first compiled step was done.
    failure: why torch.compile could not; the last two are None then.
    pays: whether compiling saves more time over the whole training than it takes.
    """

    plain: float
    compiled: float | None
    start: float | None
    failure: str | None
    pays: bool

    def __str__(self) -> str:
        if self.compiled is None or self.start is None:
            return f"torch.compile is left out, for it fails here: {self.failure}"
        return (
            f"torch.compile {'is used' if self.pays else 'is left out'}: a step takes "
            f"{1e3 * self.compiled:.3g} ms with it and {1e3 * self.plain:.3g} ms without, "
            f"and it takes {self.start:.0f} s to start."
        )


def try_compiling(config: Config, device: torch.device, steps: int) -> CompileComparison:
    """Train 20 steps on random images with and without torch.compile.

    steps: of the training to come, over which the time to compile must be won back. That
    training is not touched: the trials have networks and generators of their own.
    """
    plain = _time_steps(_compiling(config, False), device)
    try:
        compiled = _time_steps(_compiling(config, True), device)
    except Exception as error:  # no compiler, or any fault of a large machinery
        failure = (str(error).strip() or type(error).__name__).splitlines()[0]
        return CompileComparison(plain.step, None, None, failure, pays=False)
    finally:
        torch.compiler.reset()
    pays = compiled.start + steps * compiled.step < steps * plain.step
    return CompileComparison(plain.step, compiled.step, compiled.start, None, pays)


def random_images(config: Config, count: int) -> Tensor:
    """uint8 (count, C, H, W) of the shape that the recipe wants, noise from a fixed seed."""
    dataset = config.dataset
    shape = (count, dataset.channels, dataset.image_size, dataset.image_size)
    source = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=source)


def only_steps(config: Config, steps: int) -> Config:
    """The same configuration for so many steps, with no grid but the first and the last."""
    training = config.training.model_copy(update={"epochs": None, "steps": steps})
    images = config.images.model_copy(update={"every_steps": None, "every_epochs": 10**6})
    return config.model_copy(update={"training": training, "images": images})


def _compiling(config: Config, compiled: bool) -> Config:
    training = config.training.model_copy(update={"compile": compiled})
    return config.model_copy(update={"training": training})


@dataclass(frozen=True)
class _Trial:
    """Seconds until the first step was done, and of the median step from then on."""

    start: float
    step: float


def _time_steps(config: Config, device: torch.device) -> _Trial:
    batch = config.training.batch_size * config.training.discriminator_batches
    pixels = random_images(config, 4 * batch)
    marks: list[float] = []

    def mark() -> bool:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append(time.perf_counter())
        return False

    began = time.perf_counter()
    trial = only_steps(config, TRIAL_STEPS + 1)
    train(trial, pixels, device=device, emit=lambda event: None, save=no_checkpoints, stopping=mark)
    seconds = [end - begin for begin, end in itertools.pairwise(marks)]
    return _Trial(marks[0] - began, statistics.median(seconds))


def _timing_file(config: Config, device: torch.device) -> Path:
    """Another recipe, machine, version of PyTorch or number of threads is another trial."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    made_of = (to_toml(config), name, platform.node(), torch.__version__, torch.get_num_threads())
    key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    return cache_folder() / "trials" / f"{config.name}-{key}.json"
