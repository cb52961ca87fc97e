"""Where the time of a training step goes, by torch.profiler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from dcgan.config.schema import Config
from dcgan.profiling.step_timing import only_steps
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.loop import train
from tracking.atomic_files import atomic_write
from tracking.errors import UserError

PARTS = ("data", "discriminator", "generator", "optimiser", "tracking", "other")
SLOWEST = 10
WARM_UP = 5
_OPTIMISER = ("Optimizer.step#", "Optimizer.zero_grad#")


@dataclass(frozen=True)
class TimeShare:
    """ms: of the training's thread, a step. share: of the whole step. calls: a step."""

    name: str
    ms: float
    share: float
    calls: float


@dataclass(frozen=True)
class StepProfile:
    """A step by its parts, and its slowest operators by the time spent in none that they call.

    step_ms: one step, under the profiler, which slows small steps itself.
    """

    step_ms: float
    parts: tuple[TimeShare, ...]
    operators: tuple[TimeShare, ...]


def profile_steps(
    config: Config, pixels: Tensor, device: torch.device, steps: int, trace: Path | None = None
) -> StepProfile:
    """Train on `pixels` for some steps to warm up, and profile `steps` more; nothing is kept.

    pixels: uint8 (N, C, H, W). trace: the file for a Chrome trace, which chrome://tracing and
    Perfetto open. The discriminator's and the generator's part is their passes forth and back
    without their optimisers'; `tracking` collects the metrics of a step, which the writers'
    threads then take. On CUDA these are the host's times, which runs ahead of the device; the
    operators' are the device's.
    Raises UserError where the trace cannot be written.
    """
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    profiler = profile(activities=activities)
    done = 0

    def stopping() -> bool:
        nonlocal done
        done += 1
        if done == WARM_UP:
            profiler.start()
        if done == WARM_UP + steps:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            profiler.stop()
        return done == WARM_UP + steps

    longer = only_steps(config, WARM_UP + steps + 1)  # no grid at the end
    train(
        longer,
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
            raise UserError(f"The trace {trace} cannot be written: {error.strerror}.") from error
    events = [each for each in profiler.events() or [] if each.device_type.name == "CPU"]
    began = min(event.time_range.start for event in events)
    whole = (max(event.time_range.end for event in events) - began) / 1e3 / steps
    return StepProfile(whole, _parts(events, steps, whole), _operators(profiler, steps, whole))


def _parts(events: list[FunctionEvent], steps: int, whole: float) -> tuple[TimeShare, ...]:
    ms, calls = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0)
    for event in events:
        taken = event.time_range.elapsed_us() / 1e3 / steps
        part = "optimiser" if event.name.startswith(_OPTIMISER) else event.name
        if part in ms:
            ms[part] += taken
            calls[part] += 1 / steps
            if part == "optimiser" and event.cpu_parent and event.cpu_parent.name in ms:
                ms[event.cpu_parent.name] -= taken
    ms["other"] = max(whole - sum(ms.values()), 0.0)
    return tuple(TimeShare(name, ms[name], ms[name] / whole, calls[name]) for name in PARTS)


def _operators(profiler: profile, steps: int, whole: float) -> tuple[TimeShare, ...]:
    averages = [
        (each.self_device_time_total or each.self_cpu_time_total, each)
        for each in profiler.key_averages()
        if each.key not in PARTS and not each.key.startswith(_OPTIMISER)
    ]
    slowest = sorted(averages, key=lambda pair: pair[0], reverse=True)[:SLOWEST]
    return tuple(
        TimeShare(each.key, us / 1e3 / steps, us / 1e3 / steps / whole, each.count / steps)
        for us, each in slowest
    )
