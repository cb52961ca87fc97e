"""Does the cost of training grow as its work does: with the batch, the image size, the cores?

The networks of Radford et al. (recipe `celeba`) train on random images, each setting in a
process of its own. Of each the images a second are measured, from the median step, and the
work that these are: the floating-point operations of a step, as PyTorch counts them, a second.
Work that grows at a constant rate is cost that grows as it should.

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

from analysis.plots.style import DOTS_PER_INCH, house_style, new_figure
from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config
from dcgan.cpu.allocator import keep_memory
from dcgan.profiling.step_timing import no_checkpoints
from dcgan.training.loop import train

BATCHES = (16, 32, 64, 128, 256)
SIZES = (32, 64, 128)
BATCH, SIZE = 64, 64
"""What stays, while another number changes."""


def settings() -> list[tuple[str, int, int, int]]:
    """What changes, then batch, image size and cores."""
    cores = psutil.cpu_count(logical=False) or 1
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= cores]
    return [
        *(("batch", batch, SIZE, cores) for batch in BATCHES),
        *(("image size", BATCH, size, cores) for size in SIZES),
        *(("cores", BATCH, SIZE, count) for count in counts),
    ]


def configured(batch: int, size: int, steps: int) -> Config:
    changes = {
        "training.batch_size": batch,
        "training.steps": steps,
        "dataset.image_size": size,
        "images.every_steps": 10**6,
        "images.count": 1,
    }
    return load_config("celeba", [parse_override(f"{k}={v}") for k, v in changes.items()])


def step_times(config: Config) -> list[float]:
    """Seconds of each step but the first two, in which buffers are made."""
    size = config.dataset.image_size
    source = torch.Generator().manual_seed(0)
    shape = (config.training.batch_size, 3, size, size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=source)
    marks: list[float] = []

    def mark() -> bool:
        marks.append(time.perf_counter())
        return False

    train(
        config,
        pixels,
        device=torch.device("cpu"),
        emit=lambda event: None,
        save=no_checkpoints,
        stopping=mark,
    )
    return [end - begin for begin, end in itertools.pairwise(marks)][1:]


def measure(batch: int, size: int, cores: int, steps: int) -> dict[str, float]:
    """Within the process of one setting, started by one that called `keep_memory` too."""
    keep_memory()
    torch.set_num_threads(cores)
    seconds = statistics.median(step_times(configured(batch, size, steps + 2)))
    with FlopCounterMode(display=False) as counter:
        step_times(configured(batch, size, 1))
    work = counter.get_total_flops()
    return {
        "batch": batch,
        "image_size": size,
        "cores": cores,
        "step_ms": seconds * 1e3,
        "images_per_second": batch / seconds,
        "gflop_per_step": work / 1e9,
        "gflop_per_second": work / seconds / 1e9,
    }


@house_style
def plot(rows: list[dict[str, float | str]], path: Path) -> None:
    note = (
        f"The networks of Radford et al. on {psutil.cpu_count()} cores, torch {torch.__version__}. "
        f"Beside the axis that changes: batch {BATCH}, {SIZE}x{SIZE} pixels, all cores. "
        "Below: the work that these images are."
    )
    figure = new_figure(4.6, "Training speed against the work", note)
    panels = figure.subplots(2, 3, sharex="col", sharey="row")
    for column, (name, key) in enumerate(
        (("batch", "batch"), ("image size", "image_size"), ("cores", "cores"))
    ):
        own = [row for row in rows if row["changes"] == name]
        for axes, measure_name in zip(
            panels[:, column], ("images_per_second", "gflop_per_second"), strict=True
        ):
            places = [float(row[key]) for row in own]
            axes.plot(places, [float(row[measure_name]) for row in own], marker="o", markersize=4)
            axes.set_xscale("log", base=2)
            axes.set_xticks(places, [f"{place:g}" for place in places])
            axes.minorticks_off()
        panels[0, column].set_title(name)
    for row, label in zip(panels, ("images a second", "GFLOP a second"), strict=True):
        row[0].set_ylabel(label)
        row[0].set_ylim(bottom=0)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", type=int, nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one, given.steps)))
        return
    keep_memory()
    machine = describe_machine()
    print(f"{machine}; medians of {given.steps} steps")
    print("| changes | batch | pixels | cores | ms a step | images/s | GFLOP/s |")
    print("|---|---|---|---|---|---|---|")
    rows: list[dict[str, float | str]] = []
    for name, batch, size, cores in settings():
        numbers = [str(number) for number in (batch, size, cores)]
        command = [sys.executable, __file__, "--steps", str(given.steps), "--one", *numbers]
        row = json.loads(subprocess.check_output(command))
        rows.append({"changes": name, **row})
        print(
            f"| {name} | {batch} | {size} | {cores} | {row['step_ms']:.0f} "
            f"| {row['images_per_second']:.0f} | {row['gflop_per_second']:.0f} |",
            flush=True,
        )
    if given.output:
        result = {"machine": machine, "steps": given.steps, "rows": rows}
        given.output.write_text(json.dumps(result, indent=2) + "\n")
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    main()
