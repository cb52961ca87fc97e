"""The checks of a device; each returns what it compared, or raises CheckError."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from dcgan.config.loading import load_config, parse_override, recipe_names
from dcgan.config.schema import Config
from dcgan.profiling.step_timing import limit_steps, random_images
from dcgan.selftest.plain_loop import plain_losses
from dcgan.selftest.speed import compare_speed
from dcgan.training.checkpoint import CheckpointState, no_checkpoints
from dcgan.training.loop import train
from dcgan.training.network_norms import MEASURED_EVERY
from dcgan.training.precision import check_precision
from tracking.errors import UserError
from tracking.events import BATCH, NETWORKS, Event, Metrics

STEPS = 8
"""Steps of each comparison: three eager ones, some replays, and one with a short batch."""

BATCH_SIZE = 6

EPOCH_STEPS = 7
"""Steps of an epoch: six of full batches, and one of half a batch."""

TOLERANCES = {torch.float64: 1e-7, torch.float32: 2e-2}
"""The largest relative difference of losses; in float32 rounding grows from step to step."""

WITH_EVERYTHING = (
    "stabilisers.label_smoothing=0.1",
    "stabilisers.label_flipping=0.1",
    "stabilisers.instance_noise=0.1",
    "stabilisers.spectral_norm=true",
    "stabilisers.generator_ema=0.9",
    "stabilisers.diff_augment=['color', 'translation', 'cutout']",
    "training.generator_fakes=fresh",
    "dataset.flip=true",
)
CRITIC = (
    "loss.name=wgan_gp",
    "network.discriminator_batch_norm=none",
    "training.discriminator_batches=2",
)

Losses: TypeAlias = list[tuple[float, ...]]
Check: TypeAlias = Callable[[torch.device], str]


class CheckError(Exception):
    """The device computes wrong results."""


@dataclass(frozen=True)
class Outcome:
    """The result of one check.

    Attributes:
        name: The check.
        result: Whether it passed; `skipped` if the device lacks what is checked.
        detail: What was compared, or why it failed.
        seconds: How long it took.
    """

    name: str
    result: Literal["passed", "failed", "skipped"]
    detail: str
    seconds: float


class UnsupportedError(Exception):
    """The device lacks the feature that is checked."""


def all_checks() -> dict[str, Check]:
    """The checks by their names, in the order in which they run."""
    return {
        **{f"step of {recipe}": partial(_step_is_plain, recipe) for recipe in recipe_names()},
        "graph, all stabilisers": partial(_graph_is_eager, WITH_EVERYTHING),
        "graph, wgan_gp": partial(_graph_is_eager, CRITIC),
        "torch.compile": _compiled_is_eager,
        "resume": _resuming_is_exact,
        "memory": _memory_stays,
        "evaluation": _distances_are_those_of_the_cpu,
        "precision auto": partial(_precision_trains, "auto"),
        "precision tf32": partial(_precision_trains, "tf32"),
        "precision bf16": partial(_precision_trains, "bf16"),
        "speed, auto": partial(_speed, "auto"),
        "speed, bf16": partial(_speed, "bf16"),
    }


def run_check(name: str, device: torch.device) -> Outcome:
    """Run one check; an error of any kind counts as a failure.

    Args:
        name: A key of `all_checks`.
        device: Where to compute.
    """
    began = time.monotonic()
    result: Literal["passed", "failed", "skipped"] = "passed"
    try:
        detail = all_checks()[name](device)
    except UnsupportedError as reason:
        result, detail = "skipped", str(reason)
    except CheckError as difference:
        result, detail = "failed", str(difference)
    except Exception as error:  # whatever a driver or a kernel raises
        result = "failed"
        detail = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
    return Outcome(name, result, detail, time.monotonic() - began)


def _step_is_plain(recipe: str, device: torch.device) -> str:
    config = _small(recipe, device)
    with _exact(device) as dtype:
        pixels = _images(config)
        ours = _losses(config, pixels, device)
        plain: Losses = [*plain_losses(config, pixels, device, STEPS)]
        return _same(ours, plain, dtype, "the plain loop")


def _graph_is_eager(settings: tuple[str, ...], device: torch.device) -> str:
    if device.type != "cuda":
        raise UnsupportedError("CUDA graphs are for CUDA devices")
    return _replays_are_eager(settings, device)


def _replays_are_eager(settings: tuple[str, ...], device: torch.device) -> str:
    """Compare replayed steps with eager ones, the norms of both networks included."""
    steps = MEASURED_EVERY + 1
    length = f"training.steps={steps}"
    graph = _small("digits", device, *settings, length)
    eager = _small("digits", device, *settings, length, "training.cuda_graph=false")
    with _exact(device) as dtype:
        pixels = _images(graph)
        ours, theirs = (_losses_and_norms(config, pixels, device) for config in (graph, eager))
        return _same(ours, theirs, dtype, "eager steps and their gradients", steps)


def _compiled_is_eager(device: torch.device) -> str:
    if device.type != "cuda":
        raise UnsupportedError("compiled networks are checked on CUDA devices")
    return _compiling_changes_nothing(device)


def _compiling_changes_nothing(device: torch.device) -> str:
    """Compare compiled networks, of which D sees real images and fakes in one pass, with eager."""
    compiled, eager = (
        _small("celeba", device, f"training.compile={each}") for each in ("true", "false")
    )
    with _exact(device) as dtype:
        pixels = _images(compiled)
        try:
            ours = _losses(compiled, pixels, device)
        finally:
            torch.compiler.reset()
        return _same(ours, _losses(eager, pixels, device), dtype, "networks that are not compiled")


def _losses_and_norms(config: Config, pixels: Tensor, device: torch.device) -> Losses:
    norms: Losses = []
    return _losses(config, pixels, device, norms) + norms


def _resuming_is_exact(device: torch.device) -> str:
    config = _small("digits", device, *WITH_EVERYTHING)
    with _exact(device) as dtype:
        pixels = _images(config)
        uninterrupted = _losses(config, pixels, device)
        saved: list[CheckpointState] = []
        first = _losses(config, pixels, device, stop_at=STEPS // 2, saved=saved)
        second = _losses(config, pixels, device, resume_from=saved[-1])
        return _same(first + second, uninterrupted, dtype, "a training without interruption")


def _memory_stays(device: torch.device) -> str:
    if device.type != "cuda":
        raise UnsupportedError("only CUDA counts its memory")
    torch.cuda.reset_peak_memory_stats(device)
    sizes = _allocations_stay(device, partial(torch.cuda.memory_allocated, device))
    return f"{sizes}, at most {torch.cuda.max_memory_allocated(device) / 2**20:.0f}"


def _allocations_stay(device: torch.device, allocated: Callable[[], int]) -> str:
    """Compare the bytes in use after 5 and after 10 epochs; all buffers exist after the fifth."""
    early, late = 5 * EPOCH_STEPS, 10 * EPOCH_STEPS
    config = _small("digits", device, f"training.steps={late}")
    sizes: list[int] = []
    steps = iter(range(1, late + 1))

    def look() -> bool:
        if next(steps) in (early, late):
            sizes.append(allocated())
        return False

    train(config, _images(config), device=device, emit=_ignore, save=no_checkpoints, stopping=look)
    before, after = (size / 2**20 for size in sizes)
    if after > before:
        raise CheckError(f"it grew from {before:.2f} to {after:.2f} MiB in 5 epochs")
    return f"{after:.0f} MiB after 5 epochs and after 10"


def _distances_are_those_of_the_cpu(device: torch.device) -> str:
    if device.type == "cpu":
        raise UnsupportedError("the CPU is what others are compared with")
    from dcgan.selftest.distances import compare_distances

    compared = compare_distances(device)
    detail = "; ".join(each.text for each in compared)
    if not all(each.difference <= each.allowed for each in compared):
        raise CheckError(detail)
    return detail


def _precision_trains(precision: str, device: torch.device) -> str:
    config = _small("digits", device, f"training.precision={precision}")
    try:
        check_precision(config, device)
    except UserError as error:
        raise UnsupportedError(str(error).splitlines()[0]) from error
    pixels = _images(config)
    exact = _losses(_small("digits", device), pixels, device)
    losses = _losses(config, pixels, device)
    largest = _largest_difference(losses[:3], exact[:3])
    if not (math.isfinite(largest) and largest < 0.1):
        raise CheckError(f"losses of three steps are up to {largest:.2g} from those of float32")
    return f"losses of three steps within {largest:.1g} of float32's"


def _speed(precision: str, device: torch.device) -> str:
    config = load_config("celeba", [parse_override(f"training.precision={precision}")])
    try:
        check_precision(config, device)
    except UserError as error:
        raise UnsupportedError(str(error).splitlines()[0]) from error
    speed = compare_speed(config, device)
    detail = (
        f"{speed.ratio:.2f} times the official example "
        f"({1e3 * speed.engine:.3g} ms per step in place of {1e3 * speed.official:.3g})"
    )
    if speed.ratio < 1:
        raise CheckError(detail)
    return detail


def _small(recipe: str, device: torch.device, *settings: str) -> Config:
    """A recipe with its own networks, for a few steps of small batches."""
    small = (
        f"training.batch_size={BATCH_SIZE}",
        f"training.steps={STEPS}",
        "training.precision=fp32",
        "images.count=4",
    )
    config = load_config(recipe, [parse_override(text) for text in (*small, *settings)])
    steps = config.training.steps
    return limit_steps(config, steps or STEPS)


def _images(config: Config) -> Tensor:
    """Noise for `EPOCH_STEPS` batches per update of D, the last of which is half full."""
    batches = (EPOCH_STEPS - 1) * config.training.discriminator_batches
    return random_images(config, batches * BATCH_SIZE + BATCH_SIZE // 2)


def _losses(
    config: Config,
    pixels: Tensor,
    device: torch.device,
    norms: Losses | None = None,
    *,
    stop_at: int | None = None,
    saved: list[CheckpointState] | None = None,
    resume_from: CheckpointState | None = None,
) -> Losses:
    """G's and D's loss in each step of the engine; `norms` takes those of the networks."""
    blocks: list[Metrics] = []
    steps = iter(range(1, 10**9))

    def listen(event: Event) -> None:
        if not isinstance(event, Metrics):
            return
        if f"{BATCH}/Gloss" in event.values:
            blocks.append(event)
        elif norms is not None and f"{NETWORKS}/G_gradient_norm" in event.values:
            norms.extend(zip(*event.values.values(), strict=True))

    def save(
        step: int, state: CheckpointState, *, marked: bool = False, best: bool = False
    ) -> None:
        if saved is not None:
            saved.append(_copied(state))

    train(
        config,
        pixels,
        device=device,
        emit=listen,
        save=save,
        resume_from=resume_from,
        stopping=lambda: next(steps) == stop_at,
    )
    columns = [
        [value for block in blocks for value in block.values[f"{BATCH}/{name}"]]
        for name in ("Gloss", "Dloss")
    ]
    return list(zip(*columns, strict=True))


def _copied(state: CheckpointState) -> CheckpointState:
    """A checkpoint as it is read from a file: on the CPU, apart from the training."""
    from torch.utils._pytree import tree_map_only

    copied: CheckpointState = tree_map_only(
        Tensor, lambda tensor: tensor.detach().cpu().clone(), state
    )
    return copied


@contextmanager
def _exact(device: torch.device) -> Iterator[torch.dtype]:
    """Compute in float64, where the device has it."""
    dtype = torch.float64
    try:
        torch.zeros(1, dtype=dtype, device=device)
    except (RuntimeError, TypeError):
        dtype = torch.float32
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield dtype
    finally:
        torch.set_default_dtype(before)


def _same(
    ours: Losses, theirs: Losses, dtype: torch.dtype, reference: str, steps: int = STEPS
) -> str:
    """Describe how far two trainings differ; CheckError if too far, or if one lacks some steps."""
    largest, limit = _largest_difference(ours, theirs), TOLERANCES[dtype]
    name = str(dtype).removeprefix("torch.")
    compared = f"{steps} steps in {name}, largest difference from {reference} {largest:.1g}"
    if not (len(ours) == len(theirs) >= steps and largest <= limit):
        raise CheckError(f"{compared}, allowed {limit:.0e}")
    return compared


def _largest_difference(ours: Losses, theirs: Losses) -> float:
    """Of all losses, relative to the second; infinite if one is not a number."""
    differences = [
        abs(one - other) / max(abs(other), 1e-12)
        for pair in zip(ours, theirs, strict=False)
        for one, other in zip(*pair, strict=True)
    ]
    return max(differences) if all(map(math.isfinite, differences)) else math.inf


def _ignore(event: Event) -> None:
    """Track nothing."""
