"""A training step by the engine against the loop of the official PyTorch example.

Each side has its own process, because the engine's allocator settings apply to a whole process;
the plain loop has glibc's defaults. Blocks of steps alternate between the two, and one waits
while the other works; a pair of neighbouring blocks gives a ratio, and the median of the ratios
is printed with their range. The engine runs as in `dcgan train`, including its metrics. Images
are random noise of the recipe's shape, on which a step takes the same time.

For the engine, the throughput is printed as a percentage of the device's best matrix product in
float32. It is based on the operations that torch.utils.flop_counter counts in convolutions and
products, of which Winograd's convolutions need fewer. In bfloat16 more than 100% is possible if
the processor multiplies it natively.

On CUDA the plain loop has PyTorch's default arithmetic, `celeba` is timed with `--compile` as well,
and last comes an epoch of the 63,632 images of `anime`.

    python benchmarks/training_step.py [--device cpu] [--pairs 5] [--steps 10] [--output FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from interleaved import InterleavedTimings, block_timer, interleave, peak_memory
from machine import describe_machine

from dcgan.cpu.allocator import keep_memory

CASES = [
    (recipe, precision) for recipe in ("celeba", "mnist-ablation") for precision in ("fp32", "bf16")
]
CUDA_CASES = [
    ("celeba", "auto"),
    ("celeba", "bf16"),
    ("celeba", "bf16, compiled"),
    *(
        (recipe, precision)
        for recipe in ("mnist-ablation", "digits")
        for precision in ("auto", "bf16")
    ),
]
EPOCH_IMAGES = 63_632
ENDLESS = 10**9
"""Steps of a training that is stopped from outside."""


@dataclass(frozen=True)
class Result:
    """What one case gave.

    Attributes:
        plain_ms, engine_ms: Median milliseconds per step.
        speedup: Median ratio of the two.
        lowest, highest: Range of the ratios.
        plain_peak, engine_peak: Peak of the resident memory of the process, in MiB.
        gflop_per_step: Operations of a step.
        of_float32_peak: The engine's throughput over that of the best matrix product.
    """

    plain_ms: float
    engine_ms: float
    speedup: float
    lowest: float
    highest: float
    plain_peak: float
    engine_peak: float
    gflop_per_step: float
    of_float32_peak: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="per block")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    options = parser.parse_args()

    machine = describe_machine()
    peak = in_process(matrix_product_peak, options.device)
    print(f"{machine}\nbest matrix product in float32: {peak:.0f} GFLOP/s")
    print(f"{options.pairs} pairs of blocks of {options.steps} steps")
    print(
        "| recipe | precision | plain loop, ms per step | engine | speed-up | range "
        "| memory, MiB, plain / engine | of float32's peak |"
    )
    print("|---|---|---|---|---|---|---|---|")
    results: dict[str, object] = {"machine": machine, "float32_peak_gflops": peak}
    cases = CASES if options.device == "cpu" else CUDA_CASES
    gflops = {recipe: in_process(count_gflop, recipe) for recipe in dict(cases)}
    for recipe, precision in cases:
        arguments = (recipe, precision, options.device)
        timings = interleave((run_plain_loop, run_engine), arguments, options.pairs, options.steps)
        result = to_result(timings, gflops[recipe], peak)
        results[f"{recipe}: {precision}"] = asdict(result)
        print(
            f"| `{recipe}` | {precision} | {result.plain_ms:.1f} | {result.engine_ms:.1f} "
            f"| {result.speedup:.2f} | {result.lowest:.2f} to {result.highest:.2f} "
            f"| {result.plain_peak:.0f} / {result.engine_peak:.0f} "
            f"| {result.of_float32_peak:.0%} |",
            flush=True,
        )
        write(results, options.output)  # time on a GPU may end at any row
    if options.device != "cpu":
        for precision in ("auto", "bf16"):
            seconds = in_process(epoch_seconds, "anime", precision, options.device)
            results[f"anime, an epoch: {precision}"] = seconds
            print(f"an epoch of {EPOCH_IMAGES:,} images of `anime` in {precision}: {seconds:.2f} s")
            write(results, options.output)


def write(results: dict[str, object], file: Path | None) -> None:
    """Write the results so far, if there is a file for them."""
    if file is not None:
        file.write_text(json.dumps(results, indent=2) + "\n")


def to_result(timings: InterleavedTimings, gflop: float, peak: float) -> Result:
    """What is kept of one case.

    Args:
        timings: Of the plain loop and the engine.
        gflop: Operations of a step, in GFLOP.
        peak: Throughput of the best matrix product, in GFLOP/s.
    """
    plain, engine = timings.medians
    return Result(
        plain_ms=1e3 * plain,
        engine_ms=1e3 * engine,
        speedup=statistics.median(timings.ratios),
        lowest=min(timings.ratios),
        highest=max(timings.ratios),
        plain_peak=timings.peaks[0],
        engine_peak=timings.peaks[1],
        gflop_per_step=gflop,
        of_float32_peak=gflop / engine / peak,
    )


def run_plain_loop(recipe: str, precision: str, device: str, pipe: Connection) -> None:
    """Train with the plain loop, in PyTorch's default whatever `precision` is.

    Args:
        recipe: Name of the recipe.
        precision: Not used.
        device: Where to train.
        pipe: To the process that times the blocks.
    """
    os.environ.pop("GOMP_SPINCOUNT", None)  # which `dcgan` has set for its own trainings
    import torch

    from dcgan.config.loading import load_config
    from dcgan.profiling.step_timing import random_images
    from dcgan.selftest.official_loop import train_officially

    config = load_config(recipe, [])
    batches = (random_images(config, 4 * 128) / 127.5 - 1).split(128)
    train_officially(config, itertools.cycle(batches), torch.device(device), block_timer(pipe))
    pipe.send(peak_memory())


def run_engine(recipe: str, precision: str, device: str, pipe: Connection) -> None:
    """Train with the engine, set up as by `dcgan train`.

    Args:
        recipe: Name of the recipe.
        precision: A value of `training.precision`, with `, compiled` for `--compile`.
        device: Where to train.
        pipe: To the process that times the blocks.
    """
    keep_memory()
    import torch

    from dcgan.config.loading import load_config, parse_override
    from dcgan.profiling.step_timing import limit_steps, random_images
    from dcgan.training.checkpoint import no_checkpoints
    from dcgan.training.loop import train

    precision, _, compiled = precision.partition(", ")
    settings = (f"training.precision={precision}", f"training.compile={bool(compiled)}".lower())
    config = load_config(recipe, [parse_override(text) for text in settings])
    train(
        limit_steps(config, ENDLESS),
        random_images(config, 4 * 128),
        device=torch.device(device),
        emit=lambda event: None,
        save=no_checkpoints,
        stopping=block_timer(pipe),
    )
    pipe.send(peak_memory())


def count_gflop(recipe: str) -> float:
    """Operations of one step of the recipe, in GFLOP.

    D's gradients in G's step, which the plain loop computes in vain, are not counted.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from dcgan.config.loading import load_config
    from dcgan.models import build_networks

    config = load_config(recipe, [])
    generator, discriminator = (each.to("meta") for each in build_networks(config, seed=0))
    count = config.training.batch_size
    real = torch.rand(count, config.dataset.channels, *config.dataset.sides, device="meta")
    with FlopCounterMode(display=False) as counter:
        fake = generator(torch.randn(count, config.network.latent_size, 1, 1, device="meta"))
        (discriminator(real).sum() + discriminator(fake.detach()).sum()).backward()
        discriminator.requires_grad_(False)
        discriminator(fake).sum().backward()
    return float(counter.get_total_flops()) / 1e9


def epoch_seconds(recipe: str, precision: str, device: str) -> float:
    """The second of two epochs of random images, in seconds."""
    import torch

    from dcgan.config.loading import load_config, parse_override
    from dcgan.profiling.step_timing import random_images
    from dcgan.training.checkpoint import no_checkpoints
    from dcgan.training.loop import train
    from tracking.events import EPOCH, Event, Metrics

    settings = (f"training.precision={precision}", "training.epochs=2")
    config = load_config(recipe, [parse_override(text) for text in settings])
    ends: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, Metrics) and f"{EPOCH}/number" in event.values:
            ends.append(time.perf_counter())

    train(
        config,
        random_images(config, EPOCH_IMAGES),
        device=torch.device(device),
        emit=listen,
        save=no_checkpoints,
    )
    return ends[1] - ends[0]


def matrix_product_peak(device: str) -> float:
    """The best of several products of 4096 x 4096 in float32, in GFLOP/s."""
    import torch

    from dcgan.training.device import synchronise

    size = 4096
    left, right = torch.rand(2, size, size, device=device)
    seconds = []
    for _ in range(5):
        synchronise(torch.device(device))
        start = time.perf_counter()
        left @ right
        synchronise(torch.device(device))
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


def in_process(function: Callable[..., float], *arguments: str) -> float:
    """The result of a function in a fresh process."""
    with get_context("spawn").Pool(1) as pool:
        return float(pool.apply(function, arguments))


if __name__ == "__main__":
    main()
