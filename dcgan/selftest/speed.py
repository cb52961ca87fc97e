"""The engine against the loop of the official PyTorch example, block by block."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.config.schema import Config
from dcgan.profiling.step_timing import limit_steps, random_images
from dcgan.selftest.official_loop import train_officially
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.device import synchronise
from dcgan.training.loop import train
from dcgan.training.precision import set_arithmetic

PAIRS = 3
"""Blocks of each side."""


@dataclass(frozen=True)
class SpeedComparison:
    """Seconds of a step.

    Attributes:
        official: Seconds per step of the official example's loop, median over blocks.
        engine: Seconds per step of the engine, median over blocks.
        ratio: How many times as fast the engine is, median over pairs of neighbouring blocks.
    """

    official: float
    engine: float
    ratio: float


def compare_speed(config: Config, device: torch.device) -> SpeedComparison:
    """Time blocks of steps of both loops in turn.

    Args:
        config: The recipe. The official loop only uses its networks, and computes in
            PyTorch's default arithmetic, whatever `training.precision` is.
        device: Where to train.
    """
    warm_up, steps = (1, 2) if device.type == "cpu" else (20, 100)
    pixels = random_images(config, 4 * config.training.batch_size)
    pairs = [
        (
            _time_official(config, pixels, device, warm_up, steps),
            _time_engine(config, pixels, device, warm_up, steps),
        )
        for _ in range(PAIRS)
    ]
    official, engine = (statistics.median(side) for side in zip(*pairs, strict=True))
    return SpeedComparison(official, engine, statistics.median(a / b for a, b in pairs))


def _time_official(
    config: Config, pixels: Tensor, device: torch.device, warm_up: int, steps: int
) -> float:
    set_arithmetic(config.replace("training", precision="auto"), device)
    batches = itertools.cycle((pixels / 127.5 - 1).split(config.training.batch_size))
    ends: list[float] = []
    train_officially(config, batches, device, _timer(ends, device, warm_up, steps))
    return (ends[1] - ends[0]) / steps


def _time_engine(
    config: Config, pixels: Tensor, device: torch.device, warm_up: int, steps: int
) -> float:
    ends: list[float] = []
    train(
        limit_steps(config, warm_up + steps + 1),  # stopped before the last, which has a grid
        pixels,
        device=device,
        emit=lambda event: None,
        save=no_checkpoints,
        stopping=_timer(ends, device, warm_up, steps),
    )
    return (ends[1] - ends[0]) / steps


def _timer(ends: list[float], device: torch.device, warm_up: int, steps: int) -> Callable[[], bool]:
    """A `stopping` callback that appends the ends of the warm-up and of the block to `ends`."""
    done = itertools.count(1)

    def stopping() -> bool:
        step = next(done)
        if step in (warm_up, warm_up + steps):
            synchronise(device)
            ends.append(time.perf_counter())
        return step == warm_up + steps

    return stopping
