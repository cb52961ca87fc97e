"""How long a recipe takes on this machine, from a trial of 20 steps."""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
import statistics
import time
from pathlib import Path

import torch

from dcgan.checkpoint import State
from dcgan.config import Config, to_toml
from dcgan.data import cache_folder
from dcgan.device import choose_device
from dcgan.engine import total_steps, train
from tracking.files import replacing

TRIAL_STEPS = 20


def known_seconds(config: Config, device: str = "auto") -> float | None:
    """The time of an earlier trial on this machine, None where there was none."""
    file = _record(config, choose_device(device))
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
    seconds = _median_step(config, chosen) * steps
    file = _record(config, chosen)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps({"recipe": config.name, "seconds": seconds}))
    except OSError:  # it is measured again the next time
        pass
    return seconds


def _median_step(config: Config, device: torch.device) -> float:
    training = config.training.model_copy(update={"epochs": None, "steps": TRIAL_STEPS + 1})
    images = config.images.model_copy(update={"every_steps": None, "every_epochs": 10**6})
    trial = config.model_copy(update={"training": training, "images": images})
    dataset = config.dataset
    count = min(config.source.images or 1, 4 * training.batch_size)
    shape = (count, dataset.channels, dataset.image_size, dataset.image_size)
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=source)
    marks: list[float] = []

    def mark() -> bool:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append(time.perf_counter())
        return False

    train(trial, pixels, device, lambda event: None, _keep_nothing, stopping=mark)
    return statistics.median(end - begin for begin, end in itertools.pairwise(marks))


def _keep_nothing(step: int, state: State, *, marked: bool = False) -> None:
    """The trial's checkpoints."""


def _record(config: Config, device: torch.device) -> Path:
    """Another recipe, machine, version of PyTorch or number of threads is another trial."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    made_of = (to_toml(config), name, platform.node(), torch.__version__, torch.get_num_threads())
    key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    return cache_folder() / "trials" / f"{config.name}-{key}.json"
