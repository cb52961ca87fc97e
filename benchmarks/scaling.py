"""Does the cost of training grow as its work does: with the batch, the image size, the cores?

The networks of Radford et al. (recipe `celeba`) train on random images, each setting in its own
process. For each setting the images per second are measured, by the median step, and the work
that these mean: the floating-point operations per second, as PyTorch counts them. If the
operations per second stay constant, the cost grows as the work does.

    python benchmarks/scaling.py [--steps 9] [--output FILE.json] [--plot FILE.png]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch
from machine import describe_machine
from torch.utils.flop_counter import FlopCounterMode

from analysis.plots.style import DOTS_PER_INCH, draw_caption, house_style, new_figure
from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config
from dcgan.cpu.allocator import keep_memory
from dcgan.profiling.step_timing import random_images
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.loop import train

BATCHES = (16, 32, 64, 128, 256)
SIZES = (32, 64, 128)
BATCH, SIZE = 64, 64
"""The values that stay while another one changes."""


def settings() -> list[tuple[str, int, int, int]]:
    """For each setting what changes, then batch size, image size and cores."""
    cores = psutil.cpu_count(logical=False) or 1
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= cores]
    return [
        *(("batch", batch, SIZE, cores) for batch in BATCHES),
        *(("image size", BATCH, size, cores) for size in SIZES),
        *(("cores", BATCH, SIZE, count) for count in counts),
    ]


def celeba_config(batch: int, size: int, steps: int) -> Config:
    """The recipe `celeba` without grids.

    Args:
        batch: Batch size.
        size: Height and width of the images in pixels.
        steps: Length of the training.
    """
    settings = {
        "training.batch_size": batch,
        "training.steps": steps,
        "dataset.image_size": size,
        "images.every_steps": 10**6,
        "images.count": 1,
    }
    overrides = [parse_override(f"{key}={value}") for key, value in settings.items()]
    return load_config("celeba", overrides)


def step_times(config: Config) -> list[float]:
    """Seconds of each step except the first two, in which buffers are allocated."""
    marks: list[float] = []

    def mark() -> bool:
        marks.append(time.perf_counter())
        return False

    train(
        config,
        random_images(config, config.training.batch_size),
        device=torch.device("cpu"),
        emit=lambda event: None,
        save=no_checkpoints,
        stopping=mark,
    )
    return [end - start for start, end in itertools.pairwise(marks)][1:]


def measure(batch: int, size: int, cores: int, steps: int) -> dict[str, float]:
    """Measure one setting, in a process whose parent called `keep_memory` too.

    Args:
        batch: Batch size.
        size: Height and width of the images in pixels.
        cores: Threads of PyTorch.
        steps: Steps that are timed.
    """
    keep_memory()
    torch.set_num_threads(cores)
    seconds = statistics.median(step_times(celeba_config(batch, size, steps + 2)))
    with FlopCounterMode(display=False) as counter:
        step_times(celeba_config(batch, size, 1))
    flop = counter.get_total_flops()
    return {
        "batch": batch,
        "image_size": size,
        "cores": cores,
        "step_ms": seconds * 1e3,
        "images_per_second": batch / seconds,
        "gflop_per_step": flop / 1e9,
        "gflop_per_second": flop / seconds / 1e9,
    }


@house_style
def plot(rows: list[dict[str, float | str]], path: Path) -> None:
    """Save a figure of images and operations per second against what changes."""
    note = (
        f"The networks of Radford et al. on {psutil.cpu_count()} cores, torch {torch.__version__}. "
        f"Unless it changes: batch {BATCH}, {SIZE}x{SIZE} pixels, all cores. "
        "Below: the floating-point operations for these images."
    )
    figure = new_figure(4.6, "Training speed against the work", note)
    panels = figure.subplots(2, 3, sharex="col", sharey="row")
    for column, (name, key) in enumerate(
        (("batch", "batch"), ("image size", "image_size"), ("cores", "cores"))
    ):
        series = [row for row in rows if row["changes"] == name]
        for axes, measure_name in zip(
            panels[:, column], ("images_per_second", "gflop_per_second"), strict=True
        ):
            x = [float(row[key]) for row in series]
            axes.plot(x, [float(row[measure_name]) for row in series], marker="o", markersize=4)
            axes.set_xscale("log", base=2)
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.minorticks_off()
        panels[0, column].set_title(name)
    for row, label in zip(panels, ("images/s", "GFLOP/s"), strict=True):
        row[0].set_ylabel(label)
        row[0].set_ylim(bottom=0)
    draw_caption(figure)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options.steps)))
        return
    keep_memory()
    machine = describe_machine()
    print(f"{machine}; medians of {options.steps} steps")
    print("| changes | batch | pixels | cores | ms per step | images/s | GFLOP/s |")
    print("|---|---|---|---|---|---|---|")
    rows: list[dict[str, float | str]] = []
    for name, batch, size, cores in settings():
        numbers = [str(number) for number in (batch, size, cores)]
        command = [sys.executable, __file__, "--steps", str(options.steps), "--one", *numbers]
        row = json.loads(subprocess.check_output(command))
        rows.append({"changes": name, **row})
        print(
            f"| {name} | {batch} | {size} | {cores} | {row['step_ms']:.0f} "
            f"| {row['images_per_second']:.0f} | {row['gflop_per_second']:.0f} |",
            flush=True,
        )
    if options.output:
        result = {"machine": machine, "steps": options.steps, "rows": rows}
        options.output.write_text(json.dumps(result, indent=2) + "\n")
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
