"""Where the time of a training step goes, by torch.profiler."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent, FunctionEventAvg
from torch.profiler import profile, supported_activities

from dcgan.config.schema import Config
from dcgan.profiling.step_timing import limit_steps, without_cuda_graph
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.device import synchronise
from dcgan.training.loop import train
from tracking.atomic_files import atomic_write
from tracking.errors import not_written

PARTS = ("data", "discriminator", "generator", "optimizer", "tracking", "other")
"""The parts of a step: `record_function` ranges of the loop, Adam's own, and the rest."""

SLOWEST_OPERATORS = 10
"""Number of operators that a profile lists."""

WARM_UP_STEPS = 5
"""Steps before the profile begins."""

_OPTIMIZER_RANGES = ("Optimizer.step#", "Optimizer.zero_grad#")


@dataclass(frozen=True)
class TimeShare:
    """The time that one part or operator takes of a step.

    Attributes:
        name: A member of `PARTS`, or an operator such as `aten::convolution`.
        ms: Time on the training thread, milliseconds per step.
        fraction: The share of the whole step, 0 to 1.
        calls: Calls per step.
    """

    name: str
    ms: float
    fraction: float
    calls: float


@dataclass(frozen=True)
class StepProfile:
    """Where the time of a step goes.

    Attributes:
        step_ms: Duration of a step in milliseconds, under the profiler, which itself slows
            small steps.
        parts: The parts of the step, in the order of `PARTS`; they add up to the step.
        operators: The slowest operators, each without the operators that it calls.
    """

    step_ms: float
    parts: tuple[TimeShare, ...]
    operators: tuple[TimeShare, ...]


def profile_steps(
    config: Config, pixels: Tensor, device: torch.device, steps: int, trace: Path | None = None
) -> StepProfile:
    """Train a few steps to warm up, then profile `steps` more; nothing is tracked or saved.

    The parts `discriminator` and `generator` are forward and backward passes without the
    optimizers; `tracking` collects the step's metrics, which other threads then write. On CUDA
    and XPU the parts are times of the host, which runs ahead of the device; the operators' times
    are the device's. The step is not replayed as a CUDA graph, in which kernels belong to no
    operator.

    Args:
        config: The recipe.
        pixels: The images to train on, uint8 (N, C, H, W), values 0 to 255.
        device: Where to train.
        steps: Number of steps to profile.
        trace: Where to write a Chrome trace for chrome://tracing or Perfetto; None for no trace.

    Returns:
        Means over the profiled steps.

    Raises:
        StoreError: The trace cannot be written.
    """
    if trace is not None:
        try:
            trace.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_written(trace, error, "Choose another place with --trace.") from error
    names = ("CPU", device.type.upper())  # PyTorch calls activities as it does devices
    profiler = profile(activities=[each for each in supported_activities() if each.name in names])
    steps_done = 0

    def stopping() -> bool:
        nonlocal steps_done
        steps_done += 1
        if steps_done == WARM_UP_STEPS:
            synchronise(device)  # or the profiled steps would wait for these
            profiler.start()
        if steps_done == WARM_UP_STEPS + steps:
            synchronise(device)
            profiler.stop()
        return steps_done == WARM_UP_STEPS + steps

    train(
        # Stopped before the last step, which has a grid.
        limit_steps(without_cuda_graph(config), WARM_UP_STEPS + steps + 1),
        pixels,
        device=device,
        emit=lambda event: None,
        save=no_checkpoints,
        stopping=stopping,
    )
    if trace is not None:
        try:
            with atomic_write(trace) as temporary:
                profiler.export_chrome_trace(str(temporary))
        except OSError as error:
            raise not_written(trace, error, "Choose another place with --trace.") from error
    events = [event for event in profiler.events() or [] if event.device_type.name == "CPU"]
    began = min(event.time_range.start for event in events)
    step_ms = (max(event.time_range.end for event in events) - began) / 1e3 / steps
    return StepProfile(
        step_ms, _parts(events, steps, step_ms), _operators(profiler.key_averages(), steps, step_ms)
    )


def _parts(events: list[FunctionEvent], steps: int, step_ms: float) -> tuple[TimeShare, ...]:
    """Times of the parts, with the optimizers' taken out of the networks' ranges around them."""
    ms, calls = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0)
    for event in events:
        event_ms = event.time_range.elapsed_us() / 1e3 / steps
        part = "optimizer" if event.name.startswith(_OPTIMIZER_RANGES) else event.name
        if part in ms:
            ms[part] += event_ms
            calls[part] += 1 / steps
            if part == "optimizer" and event.cpu_parent and event.cpu_parent.name in ms:
                ms[event.cpu_parent.name] -= event_ms
    ms["other"] = max(step_ms - sum(ms.values()), 0.0)
    return tuple(TimeShare(name, ms[name], ms[name] / step_ms, calls[name]) for name in PARTS)


def _operators(
    averages: Iterable[FunctionEventAvg], steps: int, step_ms: float
) -> tuple[TimeShare, ...]:
    # The profiler also lists kernels, whose times are part of the operators that launched them.
    operators = [
        (operator.self_device_time_total or operator.self_cpu_time_total, operator)
        for operator in averages
        if operator.device_type.name == "CPU"
        and operator.key not in PARTS
        and not str(operator.key).startswith(_OPTIMIZER_RANGES)
    ]
    slowest = sorted(operators, key=lambda pair: pair[0], reverse=True)[:SLOWEST_OPERATORS]
    return tuple(
        TimeShare(
            name=str(operator.key),
            ms=microseconds / 1e3 / steps,
            fraction=microseconds / 1e3 / steps / step_ms,
            calls=operator.count / steps,
        )
        for microseconds, operator in slowest
    )
